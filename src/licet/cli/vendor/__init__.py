"""Defines the commands of a vendor: make keys, sign licences for customers, and read and list them."""
