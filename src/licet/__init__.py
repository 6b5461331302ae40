"""Licet is an OAuth 2.0 authorization server whose tokens hold the seats of a licence."""
