"""What proves a client and what a token is: passwords, keys, assertions, tokens (RFC 6749 1.4, 2.3)."""
