"""Serves the nouns of the set-up: tenants, pools, scopes, users, clients and what these authenticate by."""
