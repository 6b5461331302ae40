"""What Licet costs, measured: against the floor of its HTTP server, at scale, and against what it did cost.

docs/explanation/performance.md and scale.md are made from what these programs find.
"""
