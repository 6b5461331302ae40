"""Accounts: the administrators and API keys that may use the admin listener, and their sign-ins."""
