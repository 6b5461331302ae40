"""Who may administer: administrators, API keys, sign-ins."""
