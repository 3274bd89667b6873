"""`playalter money`: the ledger of the customers' money, over HTTP."""
