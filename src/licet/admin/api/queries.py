"""Defines the query parameters that several lists take."""

from typing import Annotated

from fastapi import Query

OfUser = Annotated[
    str | None, Query(pattern=r"^[A-Za-z0-9.]{2,3}$", description="Those of this user only (initials).")
]
OnlyEnabled = Annotated[bool | None, Query(description="Only those that are, or are not.")]
Matching = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=128,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Those with this in their name, whatever the case.",
    ),
]


def has_part(text: str, part: str | None) -> bool:
    """Whether a text has this part, whatever the case; None is part of every text."""
    return part is None or part.casefold() in text.casefold()
