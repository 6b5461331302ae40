"""These verbs change the set-up, one file for each noun."""
