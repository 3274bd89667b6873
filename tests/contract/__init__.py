"""One suite over all six platforms, against the sandbox over real HTTP."""
