"""These verbs show seats, sessions, usage and the journal, and end sessions."""
