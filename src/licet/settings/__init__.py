"""The settings of a server: what can be configured, and where values come from."""
