"""The pages on which administrators change the set-up."""
