"""Defines the options of pools as they are set up: how they are written, and what contradicts what."""
