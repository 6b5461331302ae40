"""A store keeps sessions, seats, the set-up and the journal."""
