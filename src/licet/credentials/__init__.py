"""Credentials authenticate clients, and tokens carry their sessions (RFC 6749 1.4, 2.3)."""
