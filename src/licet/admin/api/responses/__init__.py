"""The bodies of answers of the admin API that are written out, by their subjects."""
