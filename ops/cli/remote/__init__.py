"""Commands that ask a server over HTTP."""
