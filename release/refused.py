"""Why a release is not made, for whoever asked for it."""


class Refused(Exception):
    """The release is not made; the text says why, and what to do."""
