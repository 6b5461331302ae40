"""Stores of each kind for tests, empty or with a tenant; and proxies that break connections to a database."""
