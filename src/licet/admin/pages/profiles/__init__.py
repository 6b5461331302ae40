"""The pages of one client and of one user."""
