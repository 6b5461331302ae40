"""What administrators set: one transaction a change, its checks, and the sessions that end with it."""
