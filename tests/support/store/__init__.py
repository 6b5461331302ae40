"""Stores in tests: each kind, empty or with a tenant, and what breaks the way to a database."""
