"""Telemetry shows how a server runs: logs, metrics and traces."""
