# mypy: disable-error-code="import-not-found,misc"
"""A hasher for secrets that are generated."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class SingleRound(PBKDF2PasswordHasher):
    """PBKDF2 with a single round: enough for a secret that nobody can guess."""

    algorithm = "single_round"
    iterations = 1
