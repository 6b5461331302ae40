"""Bounded queues: how work gets from the event loop to a thread or a process, and back."""
