"""The guard protects an API: it admits requests with a live token of Licet, and read-only tokens to read.

    guard = Guard("https://licence.example.com/Jim_Test", "Api", secret)
    app.add_middleware(GuardMiddleware, guard=guard)       # any ASGI application
    application = WsgiGuardMiddleware(application, guard)  # Flask, Django
    identity(request).user

`licet.guard.fastapi` has the same as a dependency of FastAPI. It is in the base install and needs httpx
alone; of the rest of Licet it imports only what reads licences. It asks by introspection (RFC 7662), and
believes what Licet adds to the answer, `read_only` and `cache_for`. `JwtGuard` takes the place of `Guard`
where access tokens are JWTs that are to be checked without asking; it needs the extra `licet[jwt]`.

`Licence` is for the vendor of an API: with it a guard counts the seats again, by licences that the vendor
signed, whatever the customer's server says. It needs the same extra. docs/reference/guard-protocol.md has the
steps, for guards in other languages.
"""

from licet.guard.asgi import GuardMiddleware
from licet.guard.guard import Guard
from licet.guard.identity import Identity, identity
from licet.guard.jwt_guard import JwtGuard
from licet.guard.licence import Licence
from licet.guard.memory import OneProcess, SeatMemory
from licet.guard.refusal import Refused
from licet.guard.sql_memory import SqlMemory
from licet.guard.wsgi import WsgiGuardMiddleware

__all__ = [
    "Guard",
    "GuardMiddleware",
    "Identity",
    "JwtGuard",
    "Licence",
    "OneProcess",
    "Refused",
    "SeatMemory",
    "SqlMemory",
    "WsgiGuardMiddleware",
    "identity",
]
