"""The command line in tests: piped, in a terminal, and pasted into a shell."""
