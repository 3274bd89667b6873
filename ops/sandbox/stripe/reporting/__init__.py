"""Reports of the account, and the files that they are written to."""
