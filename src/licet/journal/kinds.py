"""Names the kinds of entries in the history, for callers that read none of it."""

from enum import StrEnum


class Kind(StrEnum):
    """The kind of an entry."""

    GRANTED = "granted"
    DENIED = "denied"
    ENDED = "ended"
    FAILED = "failed"  # an authentication
    EVENT = "event"  # what an administrator did
