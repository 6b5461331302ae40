"""Names whom a seat is counted for (L2)."""

from typing import Final

from licet.model import Client, Duplicates, Pool

# The prefix of a holder's name: a client and a user of the same name never share a seat.
CLIENT_HOLDER: Final = "client:"
USER_HOLDER: Final = "user:"
SESSION_HOLDER: Final = "session:"


def holder_of(pool: Pool, client: Client, sid: bytes) -> str:
    """Who a seat of this pool is counted for (L2)."""
    if pool.duplicates is Duplicates.CLIENT:
        return CLIENT_HOLDER + client.client_id
    if pool.duplicates is Duplicates.USER:
        return USER_HOLDER + client.user.initials
    return SESSION_HOLDER + sid.hex()


def place_holder_of(pool: Pool, client: Client) -> str:
    """Whose a place in the queue of this pool is (L19): the seat's holder, or the client, one at a time."""
    if pool.duplicates is Duplicates.USER:
        return USER_HOLDER + client.user.initials
    return CLIENT_HOLDER + client.client_id
