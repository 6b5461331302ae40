"""Other people's clients and resource servers, as they come, against a real Licet.

`make interop` runs them all, compares what they do with what is expected, and with
docs/reference/interoperability.md, which it can write. README.md has the protocol that a client speaks.
"""
