"""Signing in to the dashboard, out of it, and what happens when that has expired: by HTTP, no browser."""

import urllib.request
from collections.abc import Iterator
from email.message import Message
from http.cookiejar import Cookie, CookieJar
from pathlib import Path
from typing import Any, cast

import pytest

from licet.accounts.sign_ins import Lives
from licet.model import Role
from support.admin.browser import Browser
from support.admin.dashboard import PASSWORD, DashboardSite, Reader, add_admin, heading, hidden, reader_of
from support.ports import free_port
from support.server.running import RunningServer

END = "/seats/end?tenant=Jim_Test"
OUR_PAGES = ["/", "/seats", END, "/live"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """One server for all that leave it as it was."""
    with DashboardSite(tmp_path_factory.mktemp("site"), manual_clock=True) as site:
        yield site


@pytest.fixture
def nobody(site: DashboardSite) -> Iterator[Reader]:
    """A reader who is not signed in."""
    with site.reader(None) as reader:
        yield reader


class TestSigningIn:
    """`/sign-in`."""

    @pytest.mark.parametrize("path", OUR_PAGES)
    def test_who_is_not_signed_in_is_sent_to_sign_in_and_back(self, nobody: Reader, path: str) -> None:
        """To no other place than the page that was asked for."""
        answer = nobody.get(path)
        assert answer.status_code == 303
        page = nobody.get(answer.headers["location"])
        assert heading(page) == "Sign in"
        assert hidden(page)["then"] == path
        done = nobody.sign_in("ada", then=path)
        assert (done.status_code, done.headers["location"]) == (303, path)

    def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(self, nobody: Reader) -> None:
        """It ends with the browser; Secure is for TLS only."""
        cookie = nobody.sign_in("ada").headers["set-cookie"]
        assert cookie.startswith("licet=")
        parts = {it.strip().lower() for it in cookie.split(";")[1:]}
        assert parts == {"httponly", "path=/", "samesite=strict"}

    def test_who_is_signed_in_need_not_sign_in_again(self, nobody: Reader) -> None:
        """The page sends on."""
        nobody.sign_in("ada")
        answer = nobody.get("/sign-in?then=/seats")
        assert (answer.status_code, answer.headers["location"]) == (303, "/seats")

    @pytest.mark.parametrize(
        ("name", "password"),
        [("ada", "wrong"), ("nobody", PASSWORD), ("", ""), ("ada\0", "\ud7ff"), ("x" * 5000, "y" * 5000)],
    )
    def test_a_wrong_name_and_a_wrong_password_are_told_alike(
        self, nobody: Reader, name: str, password: str
    ) -> None:
        """The name is there again, the password never."""
        answer = nobody.sign_in(name, password)
        assert answer.status_code == 401
        assert "The name or the password is wrong." in answer.text
        assert "set-cookie" not in answer.headers
        assert "wrong" not in password or f'value="{password}"' not in answer.text

    @pytest.mark.parametrize(
        "then",
        ["https://example.com/", "//example.com", "/\\example.com", "javascript:alert(1)", "seats", ""],
    )
    def test_nobody_is_sent_on_to_another_site(self, nobody: Reader, then: str) -> None:
        """An open redirect helps who phishes."""
        answer = nobody.sign_in("ada", then=then)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")

    def test_who_comes_from_a_link_on_another_site_is_asked_for_the_cookie_once_more(
        self, nobody: Reader
    ) -> None:
        """By a page of ours; who has none is then sent to sign in."""
        answer = nobody.get("/seats", **{"sec-fetch-site": "cross-site"})
        assert answer.status_code == 200
        assert '<meta http-equiv="refresh" content="0">' in answer.text
        assert nobody.get("/seats", **{"sec-fetch-site": "same-origin"}).status_code == 303

    def test_signing_out_ends_the_sign_in_and_not_the_cookie_only(
        self, site: DashboardSite, nobody: Reader
    ) -> None:
        """Who has a copy of the cookie has nothing."""
        nobody.sign_in("ada")
        copy = dict(nobody.http.cookies)
        answer = nobody.post("/sign-out")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert nobody.get("/seats").status_code == 303
        with site.reader(None, cookies=copy) as thief:
            assert thief.get("/seats").status_code == 303

    @pytest.mark.parametrize("headers", [{"origin": "https://example.com"}, {"sec-fetch-site": "cross-site"}])
    def test_another_sites_page_can_sign_nobody_in(self, nobody: Reader, headers: dict[str, str]) -> None:
        """Nor can it send any other form."""
        answer = nobody.http.post("/sign-in", data={"name": "ada", "password": PASSWORD}, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


class TestForms:
    """What every form has to come with."""

    def test_a_form_without_the_token_of_its_sign_in_changes_nothing(self, site: DashboardSite) -> None:
        """What was typed is kept for another try."""
        with site.reader() as reader, site.reader() as other:
            site.take().raise_for_status()
            fields = {"seat": "full/client:TestClientId", "sure": "1", "reason": "It hangs"}
            for token in ("", "nonsense", other.csrf()):
                answer = reader.http.post(END, data={"csrf": token, **fields})
                assert answer.status_code == 401
                assert hidden(answer)["kept.reason"] == "It hangs"
                assert "kept.csrf" not in hidden(answer)
            assert "1 of 5 seats in use" in heading(reader.get("/seats?tenant=Jim_Test"))

    def test_a_form_that_has_too_many_fields_is_refused(self, site: DashboardSite) -> None:
        """1,000 are taken."""
        with site.reader() as reader:
            answer = reader.post(END, session=["a"] * 1100)
            assert answer.status_code == 400

    @pytest.mark.parametrize("charset", ["idna", "undefined", "raw_unicode_escape", "utf-7"])
    def test_a_form_in_another_code_than_utf_8_is_refused(self, nobody: Reader, charset: str) -> None:
        """Python knows codes that fail, or make texts that nothing can write: that was a 500 for anybody."""
        body = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n\\udc80\r\n--x--\r\n'
        kind = f"multipart/form-data; boundary=x; charset={charset}"
        answer = nobody.http.post("/sign-in", content=body, headers={"content-type": kind})
        assert answer.status_code == 415, answer.text

    @pytest.mark.parametrize("body", [b"\xff=\xfe", b"%zz", b"a" * 100_000, b"=&=&=", b"--x"])
    def test_what_is_no_form_is_no_fault_of_ours(self, site: DashboardSite, body: bytes) -> None:
        """Never a 500."""
        with site.reader() as reader:
            for kind in (
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
                "text/plain",
            ):
                answer = reader.http.post(END, content=body, headers={"content-type": kind})
                assert answer.status_code < 500, answer.text


class TestRunningOut:
    """A sign-in that is not used ends."""

    @pytest.fixture
    def own(self, tmp_path: Path) -> Iterator[DashboardSite]:
        """A server whose clock is turned."""
        with DashboardSite(tmp_path, manual_clock=True) as site:
            yield site

    def test_what_was_typed_is_there_again_after_signing_in(self, own: DashboardSite) -> None:
        """All of it but secrets, in the form where it was typed, and nothing was done meanwhile."""
        own.take().raise_for_status()
        with own.reader() as reader:
            csrf = reader.csrf()
            own.advance(seconds=Lives().idle_s + 60)
            own.take("Client1").raise_for_status()
            fields = {"seat": "full/client:Client1", "sure": "1", "reason": 'a <b> & "c"', "cool_down": "300"}
            late = reader.http.post(END, data={"csrf": csrf, **fields})
            assert late.status_code == 401
            assert heading(late) == "Your sign-in has expired"
            again = reader.http.post("/sign-in", data={**hidden(late), "name": "ada", "password": PASSWORD})
            assert again.status_code == 200
            assert heading(again) == "End 1 session of Client1?"
            assert "You are signed in again." in again.text
            assert 'value="a &lt;b&gt; &amp; &#34;c&#34;"' in again.text
            assert 'value="300" checked' in again.text
            assert f'<meta name="path" content="{END}">' in again.text
            done = reader.http.post(END, data={**hidden(again), "reason": "x", "cool_down": "0"})
            assert done.status_code == 303

    def test_a_stream_is_no_page_to_show_a_form_on(self, own: DashboardSite) -> None:
        """It would be collected for as long as it goes on: the browser is sent there instead."""
        with own.reader(None) as reader:
            answer = reader.sign_in("ada", then="/live", **{"kept.reason": "x"})
            assert (answer.status_code, answer.headers["location"]) == (303, "/live")

    def test_a_page_that_follows_keeps_nobody_signed_in(self, own: DashboardSite) -> None:
        """Its list and its stream are asked for without the reader."""
        with own.reader() as reader:
            own.advance(seconds=Lives().idle_s - 60)
            assert reader.get("/seats", **{"x-licet-follows": "1"}).status_code == 200
            stream = {"accept": "text/event-stream"}
            with reader.http.stream("GET", "/live", headers=stream) as answer:
                assert answer.status_code == 200
            own.advance(seconds=120)
            assert reader.get("/seats").status_code == 303

    def test_a_wrong_password_meanwhile_keeps_it_as_well(self, own: DashboardSite) -> None:
        """Until it is right."""
        with own.reader() as reader:
            csrf = reader.csrf("/")
            own.advance(seconds=Lives().idle_s + 60)
            late = reader.http.post(END, data={"csrf": csrf, "session": "a" * 40, "reason": "Kept"})
            wrong = reader.http.post("/sign-in", data={**hidden(late), "name": "ada", "password": "wrong"})
            assert (wrong.status_code, hidden(wrong)["kept.reason"]) == (401, "Kept")

    def test_a_part_of_a_page_that_is_asked_for_too_late_sends_the_reader_to_sign_in(
        self, own: DashboardSite
    ) -> None:
        """With the page that is looked at as the place to come back to."""
        with own.reader() as reader:
            own.advance(seconds=Lives().idle_s + 60)
            answer = reader.get(
                "/seats?q=a", **{"hx-request": "true", "hx-current-url": f"{own.admin_url}/seats?q=a"}
            )
            assert answer.headers["hx-redirect"] == "/sign-in?then=%2Fseats%3Fq%3Da"


def test_too_many_attempts_are_told_with_the_time_to_wait(tmp_path: Path) -> None:
    """And the right password is not let in before."""
    with DashboardSite(tmp_path, manual_clock=True) as site, site.reader(None) as reader:
        for _ in range(20):
            answer = reader.sign_in("ada", "wrong")
        assert answer.status_code == 429
        assert "Too many attempts have failed. Try again in " in answer.text
        assert reader.sign_in("ada").status_code == 429
        site.advance(seconds=61)
        assert reader.sign_in("ada").status_code == 303


def test_where_no_administrator_exists_the_page_says_how_to_make_one(tmp_path: Path) -> None:
    """Nobody looks for it in a manual."""
    with RunningServer(tmp_path, admin=True) as site, reader_of(site) as reader:
        page = reader.get("/sign-in")
        assert heading(page) == "Nobody can sign in yet"
        assert "licet admin add" in page.text
        with site.store() as store:
            add_admin(store, "ada", Role.OWNER)
        assert heading(reader.get("/sign-in")) == "Sign in"


def test_behind_tls_the_cookie_is_for_this_host_and_tls_alone(tmp_path: Path) -> None:
    """A trusted proxy says that there is TLS."""
    with (
        DashboardSite(tmp_path, trusted_proxies="127.0.0.1") as site,
        site.reader(None, headers={"x-forwarded-proto": "https"}) as reader,
    ):
        cookie = reader.sign_in("ada").headers["set-cookie"]
        assert cookie.startswith("__Host-licet=")
        parts = {it.strip().lower() for it in cookie.split(";")[1:]}
        assert parts == {"httponly", "path=/", "samesite=strict", "secure"}


ADMIN_URL = "https://licence-admin.example.com"


class _Answered:
    """As much of an answer as a cookie jar wants."""

    def __init__(self, set_cookie: str) -> None:
        self._headers = Message()
        self._headers["Set-Cookie"] = set_cookie

    def info(self) -> Message:
        """Its head."""
        return self._headers


def kept(set_cookie: str, url: str = f"{ADMIN_URL}/sign-in") -> CookieJar:
    """What a client keeps of a cookie that came from there."""
    jar = CookieJar()
    jar.extract_cookies(cast("Any", _Answered(set_cookie)), urllib.request.Request(url))  # noqa: S310 - it is not opened
    return jar


def sent_back(jar: CookieJar, url: str) -> bool:
    """Whether the cookie goes there."""
    request = urllib.request.Request(url)  # noqa: S310 - it is not opened
    jar.add_cookie_header(request)
    return request.has_header("Cookie")


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardSite]:
    """A server that knows its proxy's name, and not the proxy."""
    port = free_port()
    with DashboardSite(tmp_path_factory.mktemp("tls"), admin_url=ADMIN_URL, admin_port=port) as site:
        site.admin_url = f"http://127.0.0.1:{port}"
        yield site


class TestOverTls:
    """Where `admin_url` is https, behind a proxy that is not trusted."""

    def test_the_cookie_never_goes_by_plain_http_nor_to_another_name(self, tls: DashboardSite) -> None:
        """Secure, and with the prefix that binds it to this host (RFC 6265bis 4.1.3.2)."""
        with tls.reader(None, headers={"host": "licence-admin.example.com"}) as reader:
            jar = kept(reader.sign_in("ada").headers["set-cookie"])
        (cookie,) = cast("list[Cookie]", list(jar))
        assert (cookie.name, cookie.secure, cookie.path, cookie.domain_specified) == (
            "__Host-licet", True, "/", False,
        )  # fmt: skip
        assert sent_back(jar, f"{ADMIN_URL}/seats")
        assert not sent_back(jar, "http://licence-admin.example.com/seats")
        assert not sent_back(jar, "https://other.example.com/seats")

    @pytest.mark.parametrize("path", ["/sign-in", "/", "/nothing", "/api/v1/me"])
    def test_browsers_are_told_to_come_by_https_only(self, tls: DashboardSite, path: str) -> None:
        """RFC 6797 7.1: with every answer."""
        with tls.reader(None) as reader:
            assert reader.get(path).headers["strict-transport-security"] == "max-age=31536000"

    def test_who_comes_by_a_tunnel_to_this_machine_can_sign_in(
        self, tls: DashboardSite, browser: Browser
    ) -> None:
        """A browser takes a Secure cookie from a loopback address, as nobody is on the way."""
        with browser.window() as page:
            page.goto(f"{tls.admin_url}/sign-in")
            page.get_by_label("Name").fill("ada")
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url(f"{tls.admin_url}/")
            (cookie,) = (it for it in page.context.cookies() if it["name"] == "__Host-licet")
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")


def test_without_tls_nobody_is_told_to_come_by_https(nobody: Reader) -> None:
    """RFC 6797 7.2."""
    assert "strict-transport-security" not in nobody.get("/sign-in").headers
