"""The server process: settings in, its parts together, its listeners out."""
