"""Customers' money: the currencies, and the facts that platforms report. Nothing here does I/O."""
