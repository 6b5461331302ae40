"""Who may have a seat: commands, rules, and the rows they are decided on; pure, without I/O."""
