"""Defines `Licence`: a vendor's key and product, compiled into an API so that its guard counts seats.

    licence = Licence(
        vendor=VENDOR_JSON, product="jim2-api", built=date(2026, 11, 28),
        installation=text_of_the_database, memory=SqlMemory(connect),
    )
    guard = Guard(tenant_url, "Api", secret, licence=licence)

The server runs at the customer's, under the customer's root. So a guard with a licence believes it nothing
that the vendor did not sign, but who calls. It needs the extra `licet[jwt]`.
"""

import time
from collections.abc import Callable
from datetime import date

from licet.guard.memory import SeatMemory
from licet.licences.errors import LicenceRefused
from licet.licences.reading import installation_hash
from licet.licences.vendor_file import read_vendor


class Licence:
    """Whose licences count, and for what.

    - `vendor`: the bytes of `vendor.json`, compiled in, not read from a file that the customer has.
    - `product`: this API, as `vendor.json` names it.
    - `built`: the day of this build; a licence with `updates_until` covers none that is later.
    - `installation`: a text that the API's database keeps, made at random when it was created. None is an API
      that has none, for which bound licences do not count.
    - `memory`: who has each seat. `OneProcess()` for an API that is one process, else `SqlMemory(connect)`.
    - `wall_s`: what the time is.

    Raises ValueError when an argument can't be, ImportError without the extra `licet[jwt]`.
    """

    def __init__(
        self,
        *,
        vendor: bytes,
        product: str,
        built: date,
        installation: str | None,
        memory: SeatMemory,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        try:
            self.vendor = read_vendor(vendor)
        except LicenceRefused as refused:
            raise ValueError(str(refused)) from None
        except ModuleNotFoundError as missing:
            raise ImportError(
                f"Licence needs cryptography ({missing.name} is missing): pip install 'pyjwt[crypto]'"
            ) from None
        if self.vendor.product != product:
            raise ValueError(f"product is {product!r}, and vendor.json is for {self.vendor.product!r}")
        if installation == "":
            raise ValueError("installation must not be empty; None is an API that has none")
        self.built = built
        self.installation = installation
        self.memory = memory
        self.wall_s = wall_s

    def __repr__(self) -> str:
        return f"Licence({self.vendor.name!r}, {self.vendor.product!r}, built={self.built})"

    @property
    def installation_hash(self) -> str | None:
        """What the customer sends to the vendor, to get a licence that counts here alone."""
        return None if self.installation is None else installation_hash(self.installation)
