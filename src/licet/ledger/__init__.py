"""The ledger decides who may have a seat: commands, rules, and the rows that they need; without I/O."""
