"""The fault harness: real servers under load and under faults, and a checker of what they answered.

`make chaos` runs it; docs/explanation/never-issued-twice.md says what it shows and what it does not.
"""
