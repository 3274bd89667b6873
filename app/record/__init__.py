"""The record of events: its hash chains verified, its heads kept elsewhere."""
