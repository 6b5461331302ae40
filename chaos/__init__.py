"""The fault harness: runs real servers under load and faults, and checks their answers.

`make chaos` runs it; docs/explanation/never-issued-twice.md says what it shows and what it does not.
"""
