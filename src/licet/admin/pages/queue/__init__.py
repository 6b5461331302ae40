"""The page of who waits for a seat of a pool."""
