"""The lists of what happens as files: seats, the journal, alerts and licences."""
