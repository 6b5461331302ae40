"""The store in a database: PostgreSQL."""
