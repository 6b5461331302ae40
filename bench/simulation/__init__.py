"""Simulates more servers than the measuring machine can run."""
