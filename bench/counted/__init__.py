"""Counts what a piece of work takes in one process, in units that are the same on every machine."""
