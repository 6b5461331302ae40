"""The times of a list: typed by the reader's clocks, and kept in the address as instants."""

from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import pytest
from fastapi import Request

from licet.admin.pages.chosen_times import chosen_times, settle_times

AUCKLAND = "Pacific/Auckland"
NOW_MS = 1_800_000_000_000
BLANK = {"from_at": "", "until_at": "", "zone": AUCKLAND}


def at(text: str) -> str:
    """An instant of UTC, as an address has it."""
    return str(round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000))


def request(query: dict[str, str], cookie: str = "") -> Request:
    headers = [(b"cookie", cookie.encode())] if cookie else []
    return Request(
        {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "server": ("localhost", 80),
            "path": "/denials",
            "query_string": urlencode(query).encode(),
            "headers": headers,
        }
    )


def sent(**query: str) -> tuple[dict[str, str], str]:
    """Where a form leads that is sent with this: the query of the address, and the notice."""
    answer = settle_times(request(BLANK | {"within": "chosen"} | query), "/denials", NOW_MS)
    assert answer is not None
    assert answer.status_code == 303
    to = urlsplit(answer.headers["location"])
    assert (to.netloc, to.path) == ("", "/denials")
    notice = answer.headers.get("set-cookie", "").partition("=")[2].partition(";")[0]
    return dict(parse_qsl(to.query)), unquote(notice.strip('"'))


def test_times_are_read_by_the_readers_clocks_and_the_address_has_instants() -> None:
    found, notice = sent(from_at="2026-06-01T09:00", until_at="2026-06-01T17:30", client="Desk", user="")
    assert found == {"client": "Desk", "from": at("2026-05-31T21:00"), "until": at("2026-06-01T05:30")}
    assert notice == ""


def test_an_address_is_left_alone() -> None:
    """A link has instants only, and means the same for everybody."""
    link = {"from": at("2026-05-31T21:00"), "client": "Desk"}
    assert settle_times(request(link), "/denials", NOW_MS) is None


def test_the_pickers_show_an_instant_by_the_clocks_of_whoever_looks() -> None:
    begin_ms = int(at("2026-05-31T21:00"))
    texts = [
        chosen_times(request({}, f"licet-zone={zone}"), begin_ms, None).from_text
        for zone in ("Pacific%2FAuckland", "Asia%2FKathmandu", "nowhere")
    ]
    assert texts == ["2026-06-01T09:00", "2026-06-01T02:45", "2026-05-31T21:00"]


@pytest.mark.parametrize(
    ("field", "instant", "which"),
    [("from_at", "2026-04-04T13:30", "first"), ("until_at", "2026-04-04T14:30", "second")],
)
def test_a_time_that_occurs_twice_leaves_nothing_out_and_says_so(
    field: str, instant: str, which: str
) -> None:
    """Clocks in Auckland are put back from 3:00 to 2:00 on 5 April 2026."""
    found, notice = sent(**{field: "2026-04-05T02:30"})
    assert found == {field.removesuffix("_at"): at(instant)}
    assert notice == (f"02:30 on 5 Apr 2026 occurs twice in Pacific/Auckland: the {which} of the two counts.")


@pytest.mark.parametrize("field", ["from_at", "until_at"])
def test_a_time_that_never_occurs_is_when_the_clocks_are_put_forward_and_says_so(field: str) -> None:
    """From 2:00 to 3:00 on 27 September 2026, at 14:00 of UTC."""
    found, notice = sent(**{field: "2026-09-27T02:30"})
    assert found == {field.removesuffix("_at"): at("2026-09-26T14:00")}
    assert notice == (
        "There is no 02:30 on 27 Sep 2026 in Pacific/Auckland, as the clocks are put forward: 03:00 counts."
    )


def test_a_field_that_nobody_touched_stands_for_its_instant_to_the_millisecond() -> None:
    """Also where its text means another one: the second half past two of a night."""
    second = at("2026-04-04T14:30:07")
    found, notice = sent(**{"from": second, "from_at": "2026-04-05T02:30", "until_at": "2026-04-06"})
    assert found == {"from": second, "until": at("2026-04-06T12:00")}
    assert notice == ""


def test_a_date_alone_is_all_of_that_day() -> None:
    assert sent(from_at="2026-06-01", until_at="2026-06-01")[0] == {
        "from": at("2026-05-31T12:00"),
        "until": at("2026-06-01T12:00"),
    }


def test_a_span_that_is_chosen_takes_the_place_of_times_that_stay_as_they_were() -> None:
    before = {"from": at("2026-05-31T21:00"), "from_at": "2026-06-01T09:00"}
    assert sent(**before, within="7d")[0] == {"within": "7d"}
    assert sent(**before, within="chosen")[0] == {"from": before["from"]}
    typed = before | {"from_at": "2026-06-01T10:00"}
    assert sent(**typed, within="7d")[0] == {"from": at("2026-05-31T22:00")}
    assert sent(within="chosen")[0] == {}
    assert sent(**before | {"from_at": ""})[0] == {}


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"from_at": "yesterday"}, "This is no time: yesterday. It is written 2026-11-28 10:30."),
        ({"from_at": "2026-02-30T10:00"}, "This is no time: 2026-02-30T10:00."),
        ({"from_at": "0001-01-01T00:00"}, "This is no time"),
        ({"until_at": "9999-12-31"}, "This is no time"),
        ({"from_at": "2199-01-01T00:00"}, "The time to begin with is in the future."),
        (
            {"from_at": "2026-06-02T00:00", "until_at": "2026-06-01T00:00"},
            "The time to end with is not after the time to begin with.",
        ),
    ],
)
def test_what_is_no_span_is_said_and_the_other_filters_stay(query: dict[str, str], says: str) -> None:
    found, notice = sent(**query, client="Desk")
    assert found == {"client": "Desk"}
    assert notice.startswith(says)


def test_an_unknown_zone_is_that_of_the_cookie() -> None:
    form = BLANK | {"zone": "../../etc/passwd", "from_at": "2026-06-01T09:00"}
    answer = settle_times(request(form, "licet-zone=Asia%2FKathmandu"), "/usage", NOW_MS)
    assert answer is not None
    assert answer.headers["location"] == f"/usage?from={at('2026-06-01T03:15')}"
