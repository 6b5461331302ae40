"""Guarded APIs in tests: their guards, the programs that call them, and servers that lie to them."""
