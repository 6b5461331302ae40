"""The lines of `licet demo` to paste into another terminal: of a shell, and of PowerShell on Windows."""

from pathlib import Path
from typing import Final

from licet.platforms.shells import IS_POWERSHELL, quoted

_PICK: Final = r"""sed 's/.*"{name}":"\([^"]*\).*/\1/'"""
_SHELL: Final = """\
  URL={url}
{authority}
  # A grant that may change data: it takes a seat.
  curl -s -u TestClientId:{password} -d grant_type=client_credentials $URL/token; echo

  # A read-only grant: it takes none.
  curl -s -u Client1:{password} -d grant_type=client_credentials -d scope=view $URL/token; echo

  # A refresh: the same seat for another 20 minutes.
  TOKENS=$(curl -s -u TestClientId:{password} -d grant_type=client_credentials $URL/token)
  REFRESH=$(echo "$TOKENS" | {refresh})
  curl -s -u TestClientId:{password} -d grant_type=refresh_token -d refresh_token="$REFRESH" $URL/token; echo

  # Is a token live, and whose is it? Client2 takes a seat, Api asks.
  TOKENS=$(curl -s -u Client2:{password} -d grant_type=client_credentials $URL/token)
  ACCESS=$(echo "$TOKENS" | {access})
  curl -s -u Api:{password} -d token="$ACCESS" $URL/introspect; echo

  # A logoff: Client2's seat is free at once, and its token no longer works.
  curl -s -X POST -H "Authorization: Bearer $ACCESS" $URL/logoff; echo
  curl -s -u Api:{password} -d token="$ACCESS" $URL/introspect; echo

  # A full pool: {full_pool} denied and learn when to try again.
  for n in 1 2 3 4 5 6; do
    curl -s -u Client$n:{password} -d grant_type=client_credentials $URL/token; echo
  done
"""
_AUTHORITY: Final = "  export CURL_CA_BUNDLE={}  # for a certificate that you have signed yourself\n"

_POWERSHELL: Final = """\
  $URL = "{url}"
{authority}
  # A grant that may change data: it takes a seat.
  curl.exe -s -u TestClientId:{password} -d grant_type=client_credentials "$URL/token"

  # A read-only grant: it takes none.
  curl.exe -s -u Client1:{password} -d grant_type=client_credentials -d scope=view "$URL/token"

  # A refresh: the same seat for another 20 minutes.
  $TOKENS = curl.exe -s -u TestClientId:{password} -d grant_type=client_credentials "$URL/token" | ConvertFrom-Json
  curl.exe -s -u TestClientId:{password} -d grant_type=refresh_token -d "refresh_token=$($TOKENS.refresh_token)" "$URL/token"

  # Is a token live, and whose is it? Client2 takes a seat, Api asks.
  $TOKENS = curl.exe -s -u Client2:{password} -d grant_type=client_credentials "$URL/token" | ConvertFrom-Json
  $ACCESS = $TOKENS.access_token
  curl.exe -s -u Api:{password} -d "token=$ACCESS" "$URL/introspect"

  # A logoff: Client2's seat is free at once, and its token no longer works.
  curl.exe -s -X POST -H "Authorization: Bearer $ACCESS" "$URL/logoff"
  curl.exe -s -u Api:{password} -d "token=$ACCESS" "$URL/introspect"

  # A full pool: {full_pool} denied and learn when to try again.
  1..6 | ForEach-Object {{
    curl.exe -s -u "Client${{_}}:{password}" -d grant_type=client_credentials "$URL/token"
  }}
"""  # noqa: E501 - each is one line to paste
_AUTHORITY_POWERSHELL: Final = (
    "  # For a certificate that you have signed yourself, give each curl.exe --cacert {}\n"
)


def lines(url: str, password: str, full_pool: str, authority: Path | None) -> str:
    """The lines for the shell of this system; `authority` is a certificate that curl has to trust."""
    return lines_of(url, password, full_pool, authority, powershell=IS_POWERSHELL)


def lines_of(url: str, password: str, full_pool: str, authority: Path | None, *, powershell: bool) -> str:
    """The lines for one of the shells."""
    template = _POWERSHELL if powershell else _SHELL
    trust = _AUTHORITY_POWERSHELL if powershell else _AUTHORITY
    return template.format(
        url=url,
        password=password,
        full_pool=full_pool,
        authority="" if authority is None else trust.format(quoted(str(authority.absolute()))),
        refresh=_PICK.format(name="refresh_token"),
        access=_PICK.format(name="access_token"),
    )
