"""Connected accounts and the money that moves to them, cash balances, and identity checks."""
