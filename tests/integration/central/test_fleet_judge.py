"""A fleet's judge over the wire says what a snapshot in this process says, of one snapshot for as long as it is asked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from redoubt.central.fleet.judging import LocalJudge, of_matcher
from redoubt.definitions.snapshot import Snapshot
from redoubt.errors import DefinitionsMissing, RedoubtError
from redoubt.matcher.apart import subject
from redoubt.scanner.following import Follower
from redoubt.scanner.matcher import MatcherService
from redoubt.scanner.matching import Matching
from redoubt.wire.channel import channel
from redoubt.wire.identity import MATCHERS, Service
from redoubt.wire.server import OnePort
from support.fleet import IMAGES, Definitions
from support.wire import Certificates


@pytest.fixture
def snapshots(tmp_path: Path) -> tuple[Snapshot, Snapshot]:
    first, second = Definitions.plain(), Definitions.plain()
    second.fixed("CVE-2099-0001", "osv", "pypi", "requests", "9")
    return first.stored(tmp_path / "first"), second.stored(tmp_path / "second")


def test_same_answers_and_one_snapshot(tmp_path: Path, snapshots: tuple[Snapshot, Snapshot]) -> None:
    certificates = Certificates(tmp_path / "certificates")
    subjects = [subject(package, report.distribution) for report in IMAGES for package in report.packages]
    assert len(subjects) > 5

    async def work() -> None:
        matching = Matching()
        service = MatcherService(matching, cast(Follower, None), None)
        server = OnePort(tls=certificates.material(Service.SCANNER_V4_MATCHER), services=[service])
        await server.start("127.0.0.1", 0)
        to = channel(f"127.0.0.1:{server.port}", certificates.material(Service.CENTRAL), MATCHERS)
        try:
            with pytest.raises(DefinitionsMissing):
                async with of_matcher(to):
                    pass
            first, second = snapshots
            local = LocalJudge(first)
            matching.switch(first)
            async with of_matcher(to) as judge:
                assert judge.info == first.info
                assert await judge.judge(subjects) == await local.judge(subjects)
                assert await judge.marks(subjects) == await local.marks(subjects)
                names = ["CVE-2099-0001", "CVE-2099-9999"]
                assert await judge.scores(names) == await local.scores(names)
                assert await judge.ends_of_life(["debian:11"]) == await local.ends_of_life(["debian:11"])
                matching.switch(second)
                assert await judge.marks(subjects) == await local.marks(subjects), (
                    "the call keeps its snapshot"
                )
                with pytest.raises(RedoubtError, match="other definitions"):
                    await judge.judge(subjects)
        finally:
            to.close()
            await server.stop()
            matching.close()

    asyncio.run(asyncio.wait_for(work(), 240))
