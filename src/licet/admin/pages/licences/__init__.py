"""Serves the pages of licences: what counts, until when and what comes next; installing, removing, trust."""
