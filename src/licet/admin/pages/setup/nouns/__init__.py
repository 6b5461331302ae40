"""What each noun of the set-up has on its pages: its fields, list and texts."""
