"""A Matcher fetches from Central by the name that Central has in their namespace, whatever that is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from redoubt.scanner.leader import WireLeader
from redoubt.wire.channel import channel
from redoubt.wire.identity import Service
from redoubt.wire.material import Material, namespace
from support.wire import Certificates, run, serving


@pytest.mark.parametrize("name", ["stackrox", "redoubt-2"])
def test_central_is_believed_by_its_name_in_the_namespace(tmp_path: Path, name: str) -> None:
    certificates = Certificates(tmp_path)
    central = certificates.material(Service.CENTRAL, namespace=name)
    files = certificates.files(Service.SCANNER_V4_MATCHER, namespace=name)
    assert namespace(files) == name

    async def work() -> None:
        async with serving(central) as server:
            server.app.gate.set()
            address = f"127.0.0.1:{server.port}"
            async with channel(address, Material(files), [Service.CENTRAL]) as opened:
                leader = WireLeader(opened, files)
                body = await leader._https(lambda client: client.get_bytes(f"https://{address}/", 1 << 20))
                assert isinstance(body, bytes)

    run(work())


def test_a_certificate_without_such_a_name_is_of_the_usual_namespace(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    files = certificates.files(Service.SCANNER_V4_MATCHER, namespace="x.y")
    assert namespace(files) == "stackrox"
