"""Commits a batch: load the book, decide, save, journal, COMMIT. Seats change hands in no other way.

A batch is one transaction. If it fails, each of its commands is tried alone, so that only a faulty one
fails; if the store cannot be reached, all fail at once. A batch that collided with another transaction was
rolled back, and is tried again as a whole; so is a batch that was decided on remembered rows that are out of
date.
"""

from collections.abc import Sequence

from licet.ledger.book import only_renews
from licet.ledger.commands import Command, Outcome
from licet.ledger.denied_again import Repeated
from licet.ledger.later import outcomes_moved
from licet.ledger.rules import apply, free_expired
from licet.store.contract import Purpose, Store, Transaction
from licet.store.errors import Collided, Outdated, StoreUnavailable

COLLISIONS_MAX = 3  # of one batch, in a row; locks are taken in one order, so even one is rare


def commit(store: Store, commands: Sequence[Command]) -> Sequence[Outcome | Exception]:
    """Decide these commands in one transaction and make the outcomes durable (L9).

    Raises StoreUnavailable; any other fault is the answer of the command that has it.
    """
    try:
        return _in_one(store, commands)
    except StoreUnavailable:
        raise
    except Exception as fault:  # noqa: BLE001 - a fault of one command must not be the others'
        if len(commands) == 1:
            return [fault]
        return _one_by_one(store, commands)


def _in_one(store: Store, commands: Sequence[Command]) -> Sequence[Outcome]:
    collided = 0
    while True:
        try:
            with store.transaction(Purpose.BATCH) as transaction:
                again, others = _repeated(transaction, commands)
                decided = _decided(transaction, others) if others else []
                decided_ms = transaction.now_ms
            moved = outcomes_moved(others, decided, transaction.now_ms - decided_ms)
            return _in_order(again, moved, transaction.now_ms)
        except Outdated:
            continue  # What it was decided on is forgotten: now it is loaded.
        except Collided:
            collided += 1
            if collided > COLLISIONS_MAX:
                raise


def _one_by_one(store: Store, commands: Sequence[Command]) -> list[Outcome | Exception]:
    """Each in a transaction of its own; once the store is out of reach, the rest is not tried."""
    answers: list[Outcome | Exception] = []
    down: StoreUnavailable | None = None
    for command in commands:
        try:
            answers += [down] if down else commit(store, [command])
        except StoreUnavailable as fault:
            down = fault
            answers.append(fault)
    return answers


def apply_all(transaction: Transaction, commands: Sequence[Command]) -> Sequence[Outcome]:
    """Decide these commands within a transaction; those that need a book in their order."""
    again, others = _repeated(transaction, commands)
    decided = _decided(transaction, others) if others else []
    return _in_order(again, decided, transaction.now_ms)


def _repeated(
    transaction: Transaction, commands: Sequence[Command]
) -> tuple[Sequence[Repeated | None], Sequence[Command]]:
    """What is granted or denied again of the commands, and the other commands."""
    again = transaction.repeat(commands)
    if not again:
        return again, commands
    return again, [command for command, kept in zip(commands, again, strict=True) if kept is None]


def _in_order(
    again: Sequence[Repeated | None],
    decided: Sequence[Outcome],
    now_ms: int,
) -> Sequence[Outcome]:
    """The outcomes of the commands: each as it is repeated, or else the next that was decided."""
    if not again:
        return decided
    rest = iter(decided)
    return [next(rest) if kept is None else kept.answer(now_ms) for kept in again]


def _decided(transaction: Transaction, commands: Sequence[Command]) -> list[Outcome]:
    known = transaction.recall(commands)
    if known is not None:
        outcomes = [apply(known, command, transaction.now_ms) for command in commands]
        if only_renews(known):
            transaction.save(known)
            return outcomes
    book = transaction.load(commands)
    free_expired(book, transaction.now_ms)
    outcomes = [apply(book, command, transaction.now_ms) for command in commands]
    transaction.save(book)
    return outcomes
