"""Where sessions, seats, the set-up and the journal are kept."""
