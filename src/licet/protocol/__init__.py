"""The protocol reads requests into commands and writes outcomes as responses, without I/O."""
