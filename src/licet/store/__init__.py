"""Stores keep sessions, seats, the set-up and the journal, in SQLite or PostgreSQL."""
