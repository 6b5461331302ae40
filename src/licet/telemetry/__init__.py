"""What a server says of itself while it runs: logs, metrics and traces."""
