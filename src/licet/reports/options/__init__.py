"""Reads what the options of pools come to now: who waits, what is reserved, and why a client gets no seat."""
