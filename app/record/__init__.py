"""The record of events: verifies its hash chains, and exports its heads."""
