"""Licences in tests: vendors that sign them, and pools that they sign."""
