"""The site of a run: its tenants, databases, nodes, APIs and vendor."""
