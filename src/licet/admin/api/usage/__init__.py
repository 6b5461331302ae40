"""Serves what is computed of a span of time."""
