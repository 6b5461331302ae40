"""Names the forms that a report of peaks can have, for callers that make none."""

from enum import StrEnum


class Form(StrEnum):
    """The format of a picture."""

    SVG = "svg"
    PNG = "png"


class By(StrEnum):
    """The unit whose peak a bar shows."""

    DAY = "day"
    HOUR = "hour"
