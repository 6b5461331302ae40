"""Counts what a piece of work takes in one process, without a server: the same on every machine."""
