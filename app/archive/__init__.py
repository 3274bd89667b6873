"""The archive: ended workflows in files of the storage instead of rows in PostgreSQL.

A root workflow and all its children are one bundle. A bundle is written, read back and verified
before the rows are deleted. Manifests name the bundles, each with the hash of the one before it.
"""
