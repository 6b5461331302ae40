"""Verbs for whoever runs a server: demo, init, serve, migrate, check."""
