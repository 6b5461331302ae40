"""Servers in tests: processes of Licet, how they are started, and clients that call them."""
