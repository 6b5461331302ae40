"""Verbs that show who is in and what happened, and that end sessions."""
