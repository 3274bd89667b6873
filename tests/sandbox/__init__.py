"""The sandbox, driven by the vendors' own SDKs over real HTTP."""
