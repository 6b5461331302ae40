"""HTTP in tests: listeners, requests, clients' keys and certificates."""
