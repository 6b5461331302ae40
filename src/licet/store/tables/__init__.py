"""The tables that `licet.store.schema` gathers, by their subjects."""
