"""Fixtures that the tests of the dashboard's pages share; a file may have a `site` of its own."""

from collections.abc import Iterator

import pytest

from support.admin.dashboard import DashboardSite, Reader


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """A server for the tests of one file."""
    with DashboardSite(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def ada(site: DashboardSite) -> Iterator[Reader]:
    """An owner of all tenants."""
    with site.reader("ada") as reader:
        yield reader


@pytest.fixture(scope="module")
def vera(site: DashboardSite) -> Iterator[Reader]:
    """A viewer of all tenants."""
    with site.reader("vera") as reader:
        yield reader
