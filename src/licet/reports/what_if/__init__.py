"""Replays the journal with another set-up."""
