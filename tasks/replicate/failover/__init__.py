"""Several models at Replicate that do the same job, with an adapter for the inputs of each."""
