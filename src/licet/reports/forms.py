"""Names the forms that reports can have, for callers that make none."""

from enum import StrEnum


class Form(StrEnum):
    """The format of a picture."""

    SVG = "svg"
    PNG = "png"


class By(StrEnum):
    """The unit whose peak a bar shows."""

    DAY = "day"
    HOUR = "hour"


class SplitBy(StrEnum):
    """What costs are split by."""

    GROUP = "group"
    COST_CENTRE = "cost-centre"


class LogFormat(StrEnum):
    """The format of an export."""

    RLM = "rlm"
    CSV = "csv"
    JSON = "json"

    @property
    def media_type(self) -> str:
        """As it is sent."""
        if self is LogFormat.JSON:
            return "application/json"
        return f"text/{'csv' if self is LogFormat.CSV else 'plain'}; charset=utf-8"
