"""The administration: changes that an administrator makes while the load runs."""
