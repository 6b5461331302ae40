"""A book knows when the first seat of a pool expires, whatever its batch has done to the seats by then."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from licet.ledger.book import Book, Change, SeatFreed, SeatKept, SeatKey, SeatTaken
from licet.model import Seat
from licet.options import COMMON, counted_as, names_counted
from support.examples import jim_test
from support.many import examples

POOL_IDS = st.integers(1, 2)
KEYS = st.tuples(POOL_IDS, st.sampled_from("ABCDE"))
EXPIRIES_MS = st.integers(1, 6)  # so few that many are equal
LOADED = st.dictionaries(KEYS, EXPIRIES_MS)
# A pool of which the earliest expiry is asked for; or what happens to a seat: it is taken or renewed until
# then, or freed.
STEPS = st.lists(st.one_of(POOL_IDS, st.tuples(KEYS, st.one_of(EXPIRIES_MS, st.none()))), max_size=40)


def seat(key: SeatKey, expires_at_ms: int, counted: str = "") -> Seat:
    """A seat of this holder."""
    return Seat(
        pool_id=key[0],
        holder=key[1],
        tenant_id=1,
        client_id=key[1],
        initials="TC",
        taken_at_ms=0,
        expires_at_ms=expires_at_ms,
        counted=counted,
    )


def happened(book: Book, key: SeatKey, expires_at_ms: int | None) -> Change | None:
    """What happens to a seat; None where it is freed and was free."""
    if expires_at_ms is not None:
        it = seat(key, expires_at_ms)
        return SeatKept(seat=it) if key in book.seats else SeatTaken(seat=it)
    return SeatFreed(seat=book.seats[key], at_ms=0) if key in book.seats else None


@settings(derandomize=True, max_examples=examples(300), deadline=None, database=None)
@given(loaded=LOADED, steps=STEPS)
def test_the_earliest_expiry_is_the_least_of_all_seats_after_any_changes(
    loaded: dict[SeatKey, int], steps: list[int | tuple[SeatKey, int | None]]
) -> None:
    """L6: seats that are taken, renewed, shortened and freed, before and after somebody asked."""
    book = Book(tenants={1: jim_test()}, in_use={1: 5, 2: 5}, seats=[seat(*it) for it in loaded.items()])
    for step in steps:
        if not isinstance(step, int):
            change = happened(book, *step)
            book.apply([] if change is None else [change])
        elif expiries := [it.expires_at_ms for it in book.seats.values() if it.pool_id == step]:
            assert book.earliest_expiry(step) == min(expiries)


COUNTED = {
    "A": "max=group:x",
    "B": counted_as(["max=group:x", "each=client:B"]),
    "C": COMMON,
    "D": "",
    "E": "",
}
NAMES = ("max=group:x", "each=client:B", COMMON)


@settings(derandomize=True, max_examples=300, deadline=None, database=None)
@given(
    loaded=st.dictionaries(st.sampled_from("ABCDE"), EXPIRIES_MS),
    unknown=st.sampled_from([*NAMES, None]),
    steps=st.lists(
        st.one_of(
            st.sampled_from(NAMES), st.tuples(st.sampled_from("ABCDE"), st.one_of(EXPIRIES_MS, st.none()))
        ),
        max_size=40,
    ),
)
def test_of_those_counted_as_something_it_is_the_least_or_before_any_that_is_not_known(
    loaded: dict[str, int], unknown: str | None, steps: list[str | tuple[str, int | None]]
) -> None:
    """L16: whenever somebody asks first; `unknown` has a seat more that the book does not hold."""
    seats = [seat((1, holder), at_ms, COUNTED[holder]) for holder, at_ms in loaded.items()]
    known = [name for it in seats for name in names_counted(it.counted)]
    counts = {1: {name: known.count(name) + (name == unknown) for name in NAMES}}
    book = Book(tenants={1: jim_test()}, in_use={1: 9}, seats=seats, counts=counts, others_from_ms={1: 4})
    for step in steps:
        if isinstance(step, str):
            expiries = [it.expires_at_ms for it in book.seats.values() if step in names_counted(it.counted)]
            others = [4] if step == unknown else []
            assert book.earliest_expiry(1, step) == min(expiries + others, default=None)
            continue
        holder, at_ms = step
        change = happened(book, (1, holder), at_ms)
        if isinstance(change, SeatTaken | SeatKept):
            change = replace(change, seat=replace(change.seat, counted=COUNTED[holder]))
        book.apply([] if change is None else [change])
