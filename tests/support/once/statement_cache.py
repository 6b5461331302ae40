"""One cache of compiled SQL statements for all stores of a test process.

SQLAlchemy compiles a statement once for each engine. A server has one engine, a test process some thousand,
and compiling would be most of its work. All engines of a driver are created with the same options
(`create_engine` in `licet.store`), so a statement that was compiled for one is valid for the others.
"""

from typing import Any

from sqlalchemy import Engine
from sqlalchemy.util import LRUCache

_STATEMENTS_MAX = 5_000


class _Cache(LRUCache[Any, Any]):
    """A cache by statement alone: without the first part of the key, the dialect of the engine."""

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key[1:])

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(key[1:], default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key[1:], value)


_CACHES: dict[str, _Cache] = {}


def share() -> None:
    """Make every engine use this cache."""
    Engine._compiled_cache = property(_shared, _forget)  # type: ignore[assignment]


def _shared(engine: Engine) -> _Cache:
    return _CACHES.setdefault(engine.dialect.driver, _Cache(_STATEMENTS_MAX))


def _forget(_: Engine, __: object) -> None:
    """Ignore the engine's own cache."""
