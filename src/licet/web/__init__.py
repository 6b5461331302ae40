"""The web side of the server: HTTP on one side, the protocol on the other."""
