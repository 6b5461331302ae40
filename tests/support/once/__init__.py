"""What is made once for all tests of a process or of a run: data directories, templates, connections."""
