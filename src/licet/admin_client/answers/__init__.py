"""What the admin API answers, as dataclasses."""
