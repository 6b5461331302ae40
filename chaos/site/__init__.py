"""The site: what a run is made of: tenants, databases, nodes, APIs and their vendor."""
