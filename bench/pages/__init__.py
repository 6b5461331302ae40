"""Makes the tables and charts of the documentation from the kept results."""
