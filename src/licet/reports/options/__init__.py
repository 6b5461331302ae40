"""Reads what the options of pools come to now: who waits in line, and which seats are reserved."""
