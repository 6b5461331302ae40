"""The search over everything, whose field is at the top of every page."""
