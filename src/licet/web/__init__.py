"""The public listener: HTTP on one side, the OAuth protocol on the other."""
