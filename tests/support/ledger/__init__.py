"""The ledger in tests: models that only count, and books without a store."""
