"""Simulates what many servers would take, more than the machine that measures can hold."""
