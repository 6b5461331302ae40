"""The load: clients that ask for seats all the time, and record the answers."""
