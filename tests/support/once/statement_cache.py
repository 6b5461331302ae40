"""One cache of compiled statements for all stores of a process of tests.

SQLAlchemy compiles a statement once for each engine. A server has one engine, and a process of tests some
thousand: compiling would be most of what they do. Engines of one driver are made alike (`create_engine` in
`licet.store`), so what was compiled for one is right for the other.
"""

from typing import Any

from sqlalchemy import Engine
from sqlalchemy.util import LRUCache

_STATEMENTS_MAX = 5_000


class _Cache(LRUCache[Any, Any]):
    """By statement alone: an entry's key begins with the dialect of the engine that asks."""

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key[1:])

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(key[1:], default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key[1:], value)


_CACHES: dict[str, _Cache] = {}


def share() -> None:
    """Have every engine use it."""
    Engine._compiled_cache = property(_shared, _forget)  # type: ignore[assignment]


def _shared(engine: Engine) -> _Cache:
    return _CACHES.setdefault(engine.dialect.driver, _Cache(_STATEMENTS_MAX))


def _forget(_: Engine, __: object) -> None:
    """An engine's own cache is not used."""
