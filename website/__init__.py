"""Builds the documentation as a site: `make site` leaves it in dist/site."""
