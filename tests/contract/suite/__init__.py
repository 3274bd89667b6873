"""The tests that every platform must pass. `test_suite.py` of each folder runs them over its CASES.

A platform needs `calls`, `hooks` and `effects`. It needs `waits` if an action waits for an answer,
`lookups` if an action has a lookup, `losses` if a lookup cannot ask the vendor, `undoing` if an
action has a compensation, `erasing` if that only erases what is kept here, and `lags` if its lists
show an effect late.
"""
