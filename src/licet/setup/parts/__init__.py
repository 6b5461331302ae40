"""The parts of a tenant that a change of the set-up works on, each with its own rules."""
