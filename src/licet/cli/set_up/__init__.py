"""Verbs that change the set-up: a file a noun."""
