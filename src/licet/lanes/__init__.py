"""Lanes are bounded queues: they carry work from the event loop to a thread or a process, and back."""
