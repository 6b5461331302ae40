"""The set-up pages let administrators change the set-up."""
