"""Objects that all tests of a process or of a run share: data directories, templates, connections."""
