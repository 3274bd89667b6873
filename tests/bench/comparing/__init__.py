"""Durable steps beside others on the same loads: the loads, the sides, the runs, the report."""
