"""Servers in tests: processes of Licet, where they come from, and clients that call them."""
