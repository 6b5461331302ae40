"""These verbs run a server: demo, init, serve, migrate, check."""
