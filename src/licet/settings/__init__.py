"""The settings say how a server runs: what may be configured, and where values come from."""
