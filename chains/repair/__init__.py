"""What finds drift and repairs it: the reconciler, orphan effects, the record held against rows."""
