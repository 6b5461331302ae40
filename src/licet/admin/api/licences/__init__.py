"""Serves vendors and their licences in the admin API."""
