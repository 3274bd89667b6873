"""One file a migration; `0001_baseline` is the first."""
