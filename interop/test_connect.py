"""The lines in C# by which the dashboard connects a client, built and run on .NET Core as they are."""

import subprocess
import sys
from pathlib import Path

import pytest

from interop.dotnet import dotnet
from interop.installing import Missing, may_be_passed_over
from licet.admin.pages.setup.connect import connect

sys.path.append(str(Path(__file__).parent.parent / "tests"))  # the tests' own server
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from support.server.running import RunningServer
from support.web.signing import Signer

CLIENT_ID = "+ %41&=é'\"\\$x"
PATIENCE_S = 60.0
pytestmark = pytest.mark.timeout(900)  # a runtime that is not there is fetched


@pytest.mark.parametrize("way", ["password", "key"])
def test_the_lines_get_a_token(way: str, tmp_path: Path) -> None:
    """Whatever is in the client's name."""
    signer, data = Signer.new("ES256"), tmp_path / "data"
    data.mkdir()
    with RunningServer(data) as server:
        with server.changing() as change:
            tenant = change.tenant("Jim_Test")
            tenant.add_client(CLIENT_ID, user="TC")
            tenant.add_key(CLIENT_ID, signer.key)
        with server.store() as store:
            found = store.tenant("Jim_Test")
            assert found is not None
            shown = connect(server.url, found, found.clients[CLIENT_ID], store.clock.now_ms(), by=way)
        pem = signer.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / "private.pem").write_bytes(pem)
        source, program = tmp_path / "FirstToken.cs", tmp_path / "FirstToken.dll"
        source.write_text(next(it.code for it in shown.lines if it.id == "csharp"), encoding="utf-8")
        try:
            net = dotnet()
            net.build(program, [source])
        except Missing as why:
            if not may_be_passed_over():
                raise
            pytest.skip(str(why))
        done = subprocess.run(
            net.command(program),
            cwd=tmp_path,
            env={**net.environment, "CLIENT_SECRET": "password"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert '"token_type":"Bearer"' in done.stdout
