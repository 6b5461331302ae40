"""The protocol, without I/O: request in, command or OAuthError out; outcome in, response out."""
