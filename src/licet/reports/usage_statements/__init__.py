"""States the use of a tenant for a vendor: the claims, signed, and kept in a chain."""
