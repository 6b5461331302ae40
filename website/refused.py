"""Why the site is not built, for the person who asked for it."""


class Refused(Exception):
    """The site is not built; the text says what is wrong, and where."""
