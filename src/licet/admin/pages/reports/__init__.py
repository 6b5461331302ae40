"""Serves the page of usage, and the reports beside it."""
