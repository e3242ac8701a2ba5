"""How far clocks are from each other, and what is said where certificates' dates do not fit them."""

from __future__ import annotations

import datetime as dt
import logging
from pathlib import Path

import pytest

from redoubt.wire import clocks, material
from redoubt.wire.failures import Unavailable
from redoubt.wire.identity import Service
from support.wire import Certificates, run, serving

SECOND = 10**9
DAY = 86400 * SECOND


@pytest.mark.parametrize(
    ("theirs", "found"),
    [
        (100 * DAY, 0),
        (100 * DAY + 29 * SECOND, 0),
        (100 * DAY + 3600 * SECOND, 3600 * SECOND),
        (98 * DAY, -2 * DAY),
        (0, 0),
        (-(2**63), 0),
        (2**63 - 1, 0),
    ],
)
def test_only_a_clock_that_is_well_off_and_still_a_clock_is_ahead_or_behind(theirs: int, found: int) -> None:
    assert clocks.ahead(theirs, 100 * DAY) == found


def test_it_is_told_in_words() -> None:
    assert clocks.told(2 * DAY + 5 * SECOND) == "2 days, 0:00:05 ahead"
    assert clocks.told(-3600 * SECOND) == "1:00:00 behind"


def test_a_clock_that_is_put_right_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    given = clocks.Reference(clocks.now() + 2 * DAY)
    assert clocks.told(given.ahead) == "2 days, 0:00:00 behind"
    right = clocks.now() + 2 * DAY
    monkeypatch.setattr(clocks, "now", lambda: right)
    assert given.ahead == 0
    assert clocks.Reference(0).ahead == 0


def test_certificates_of_another_time_are_refused_in_words_that_name_the_clocks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(material._Handshake, "_told", {})
    caplog.set_level(logging.WARNING)
    certificates = Certificates(tmp_path)
    now = dt.datetime.now(dt.UTC)
    right = {each: certificates.material(each) for each in (Service.CENTRAL, Service.SCANNER_V4_INDEXER)}
    said: list[str] = []

    async def refused(caller: material.Material, server: material.Material) -> None:
        async with serving(server) as there, there.channel(caller) as channel:
            with pytest.raises(Unavailable) as caught:
                await channel.ready(0)
            said.append(str(caught.value))

    async def work() -> None:
        for name, when in (("later", now + dt.timedelta(days=2)), ("ended", now - dt.timedelta(days=400))):
            odd = certificates.material(Service.SCANNER_V4_INDEXER, f"server-{name}", now=when)
            await refused(right[Service.CENTRAL], odd)
            odd = certificates.material(Service.CENTRAL, f"caller-{name}", now=when)
            await refused(odd, right[Service.SCANNER_V4_INDEXER])
        other = Certificates(tmp_path / "other")
        caller = other.files(Service.CENTRAL)
        caller.authorities[0].write_bytes(certificates.authority.trusted)
        await refused(material.Material(caller), right[Service.SCANNER_V4_INDEXER])

    run(work())
    assert "certificate is not yet valid by the clock here, which shows" in said[0]
    assert "hung up when it saw our certificate, which by the clock here" in said[1]
    assert "certificate has expired by the clock here" in said[2]
    assert "hung up when it saw our certificate, which by the clock here" in said[3]
    assert "it may trust another CA, or its clock may be wrong" in said[4]
    logged = [each.message for each in caplog.records if "a caller's certificate is refused" in each.message]
    assert ["not yet valid by the clock here" in each for each in logged] == [True, False, False]
    assert ["has expired by the clock here" in each for each in logged] == [False, True, False]
