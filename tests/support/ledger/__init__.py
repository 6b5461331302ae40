"""The ledger in tests: models that predict its outcomes, and books without a store."""
