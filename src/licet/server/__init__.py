"""The server process: reads the settings, makes the parts and serves both listeners."""
