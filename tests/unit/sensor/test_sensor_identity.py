"""Certificates of a cluster: which one a Sensor uses, when they are made anew, and that no moment is without one."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

from redoubt.errors import NetworkError, RedoubtError, UnreadableInput
from redoubt.kubeapi import ApiFailure
from redoubt.sensor.identity.folder import Own, leaf
from redoubt.sensor.identity.peers import Peers
from redoubt.sensor.identity.renewing import Renewal
from redoubt.sensor.identity.secrets import Foreign, Held, Secrets
from redoubt.wire import csr
from redoubt.wire.authority import Authority, Issued
from redoubt.wire.identity import Service
from redoubt.wire.material import Material
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from support.wire import run

CLUSTER, ANY = str(uuid4()), "00000000-0000-0000-0000-000000000000"
OTHERS = (Service.ADMISSION_CONTROL, Service.COLLECTOR)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "authority")


def ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def issued(
    authority: Authority, identifier: str = CLUSTER, service: Service = Service.SENSOR, **more: Any
) -> Issued:
    return authority.issue(service, identifier, **more)


# Which one is used


def serial(own: Own) -> int:
    """Of the certificate that services read; it fits its key and a CA."""
    files = own.files
    Material(files)  # raises where they do not fit
    content = [files.certificate.read_bytes(), files.key.read_bytes(), files.authorities[0].read_bytes()]
    return leaf(*content).certificate.serial_number


def number(given: Issued) -> int:
    return leaf(given.certificate, given.key, given.authorities).certificate.serial_number


def test_what_was_issued_last_is_used(tmp_path: Path, authority: Authority) -> None:
    installed = tmp_path / "installed"
    first = issued(authority, ANY, now=ago(20))
    first.write(installed)
    own = Own(tmp_path / "identity", installed)
    assert own.settle() is not None
    assert serial(own) == number(first)
    assert own.made() is None
    made = issued(authority, now=ago(10))
    own.adopt(made)
    assert own.settle() is not None
    assert serial(own) == number(made)
    assert own.made() == made
    assert (own.files.key.stat().st_mode & 0o777, own.files.key.parent.parent.stat().st_mode & 0o777) == (
        0o600,
        0o700,
    )
    # A Sensor that begins anew finds it; an administrator who installs another one is heard.
    own = Own(tmp_path / "identity", installed)
    assert serial(own) == number(made)
    installed_anew = issued(authority, ANY, now=ago(1))
    installed_anew.write(installed)
    own.settle()
    assert serial(own) == number(installed_anew)


def test_what_has_ended_or_does_not_fit_is_not_used(tmp_path: Path, authority: Authority) -> None:
    installed = tmp_path / "installed"
    good = issued(authority, ANY, now=ago(100))
    good.write(installed)
    own = Own(tmp_path / "identity", installed)
    own.adopt(issued(authority, now=ago(50), days=10))
    assert own.settle() is not None
    assert serial(own) == number(good)
    # Of another CA; with another key; rubbish.
    other = Authority.create(tmp_path / "other")
    alien = issued(other)
    own.adopt(Issued(alien.certificate, alien.key, authority.trusted))
    mixed = issued(authority)
    own.adopt(Issued(mixed.certificate, issued(authority).key, authority.trusted))
    own.adopt(Issued(b"x", b"y", b"z"))
    assert own.settle() is not None
    assert serial(own) == number(good)
    # Nothing is good any more: what was installed is what is looked at.
    (installed / "cert.pem").write_bytes(issued(authority, ANY, now=ago(50), days=10).certificate)
    assert own.settle() is None
    assert own.files.certificate.resolve() == (installed / "cert.pem").resolve()


def test_killed_at_any_step_it_still_has_one_that_fits(tmp_path: Path, authority: Authority) -> None:
    """The process is ended before the first, second, … thing that it does to the disk."""
    installed = tmp_path / "installed"
    issued(authority, ANY, now=ago(20)).write(installed)
    place = tmp_path / "identity"
    Own(place, installed).settle()
    seen: set[int] = set()
    steps = 0
    for steps in range(1, 80):
        child = os.fork()
        if not child:
            _end_at(steps, str(place))
            try:
                Own(place, installed).adopt(issued(authority))
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        # What services read at that moment, and what a Sensor that begins anew does.
        seen.add(serial(Own(place, installed)))
        own = Own(place, installed)
        assert own.settle() is not None
        serial(own)
        if os.waitstatus_to_exitcode(status) == 0:
            break
        assert os.waitstatus_to_exitcode(status) == 9
    assert steps > 10, "it was ended at too few steps"
    assert len(seen) > 2
    left = [each.name for each in place.iterdir() if each.name.startswith(".")]
    assert left == [], "what was begun is not left lying about"


def _end_at(step: int, place: str) -> None:
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in ("open", "os.mkdir", "os.rename", "os.symlink", "os.remove", "os.rmdir") and any(
            place in str(each) for each in arguments[:2]
        ):
            count += 1
            if count == step:
                os._exit(9)

    sys.addaudithook(hook)


# When they are made anew


class Kept:
    """Secrets in memory. Not an API server. ``refused``: what reading or writing one fails with."""

    def __init__(self) -> None:
        self.secrets: dict[Service, Issued] = {}
        self.refused: dict[Service, RedoubtError] = {}
        self.written: list[Service] = []

    async def get(self, service: Service) -> Held | None:
        if service not in self.secrets:
            return None
        given = self.secrets[service]
        try:
            return Held(given, leaf(given.certificate, given.key, given.authorities))
        except UnreadableInput:
            return Held(given, None)

    async def put(self, service: Service, given: Issued) -> None:
        if service in self.refused:
            raise self.refused[service]
        self.written.append(service)
        self.secrets[service] = given


class Given:
    """A Renewal with a stand-in for Central, which signs with a real CA. ``spoil`` changes what it answers."""

    def __init__(self, tmp_path: Path, authority: Authority, first: Issued) -> None:
        self.authority = authority
        self.installed = tmp_path / "installed"
        first.write(self.installed)
        self.own = Own(tmp_path / "identity", self.installed)
        self.own.settle()
        self.kept = Kept()
        self.requests: list[pb.CertificateRequests] = []
        self.again = 0
        self.spoil: Callable[[pb.Certificates], None] = lambda _: None
        self.cluster = CLUSTER
        self.renewal = Renewal(
            self.own,
            cast(Secrets, self.kept),
            Peers(),
            self._told,
            self._again,
            namespace="stackrox",
            others=OTHERS,
        )

    def _again(self) -> None:
        self.again += 1

    def _told(self, message: pb.FromSensor) -> None:
        asked = message.certificates
        self.requests.append(asked)
        answer = pb.Certificates(id=asked.id, authorities=self.authority.trusted)
        for each in asked.wanted:
            service = Service(each.service)
            key = csr.key_of(each.request, service, self.cluster)
            signed = self.authority.sign(service, key, self.cluster, namespace=asked.namespace)
            answer.issued.add(service=each.service, certificate=signed)
        self.spoil(answer)
        asyncio.get_running_loop().call_soon(self.renewal.answered, answer)

    def asked(self) -> list[list[str]]:
        return [[one.service for one in each.wanted] for each in self.requests]

    @contextmanager
    def running(self) -> Iterator[None]:
        task = asyncio.create_task(self.renewal.run())
        try:
            yield
        finally:
            task.cancel()

    def connect(self) -> None:
        self.renewal.welcomed(CLUSTER)
        self.renewal.say_authorities(self.authority.trusted)


async def until(what: str, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def settled() -> None:
    """Until what was begun came to an end."""
    for _ in range(30):
        await asyncio.sleep(0.01)


def works(given: Given, work: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        with given.running():
            await work()

    run(within())


ALL = [Service.SENSOR.value, *(each.value for each in OTHERS)]


def test_an_init_bundles_certificate_is_replaced_as_soon_as_central_is_there(
    tmp_path: Path, authority: Authority
) -> None:
    given = Given(tmp_path, authority, issued(authority, ANY))

    async def work() -> None:
        await settled()
        assert given.asked() == []
        given.connect()
        await until("it showed itself anew", lambda: given.again == 1)
        assert given.asked() == [ALL]
        assert set(given.kept.secrets) == {Service.SENSOR, *OTHERS}
        # The Secret of the Sensor is what is on its disk; keys differ.
        assert given.kept.secrets[Service.SENSOR] == given.own.made()
        assert len({each.key for each in given.kept.secrets.values()}) == 3
        given.renewal.welcomed(CLUSTER)
        await settled()
        assert len(given.requests) == 1
        assert given.renewal.problems() == []
        assert {each.service for each in given.renewal.ends()} == set(ALL)

    works(given, work)


def test_each_is_made_anew_when_half_of_its_life_has_passed(tmp_path: Path, authority: Authority) -> None:
    given = Given(tmp_path, authority, issued(authority, now=ago(100)))
    given.kept.secrets = {
        Service.ADMISSION_CONTROL: issued(authority, service=Service.ADMISSION_CONTROL, now=ago(184)),
        Service.COLLECTOR: issued(authority, service=Service.COLLECTOR, now=ago(140)),
    }

    async def work() -> None:
        given.connect()
        await until("one was made anew", lambda: bool(given.requests))
        await settled()
        assert given.asked() == [[Service.ADMISSION_CONTROL.value]]
        assert given.again == 0

    works(given, work)


def test_a_clock_that_is_ahead_of_centrals_has_nothing_made_anew(
    tmp_path: Path, authority: Authority
) -> None:
    given = Given(tmp_path, authority, issued(authority, now=ago(200)))
    for service in OTHERS:
        given.kept.secrets[service] = issued(authority, service=service, now=ago(200))
    given.renewal.ahead = lambda: 190 * 86400 * 10**9

    async def work() -> None:
        given.connect()
        await settled()
        assert given.requests == []

    works(given, work)


@pytest.mark.parametrize("what", ["stage", "switch", "retire"])
def test_each_step_of_an_exchange_of_the_ca_reaches_everybody(
    tmp_path: Path, authority: Authority, what: str
) -> None:
    for step in ("stage", "switch", "retire"):
        if step == what:
            break
        authority = getattr(authority, step)()
    given = Given(tmp_path, authority, issued(authority))
    for service in OTHERS:
        given.kept.secrets[service] = issued(authority, service=service)

    async def work() -> None:
        given.connect()
        await settled()
        assert given.requests == []
        given.authority = getattr(authority, what)()
        given.renewal.say_authorities(given.authority.trusted)
        await until("all were made anew", lambda: given.again == 1)
        assert given.asked() == [ALL]
        for each in given.kept.secrets.values():
            assert each.authorities == given.authority.trusted
            assert given.authority.issued(each.certificate)

    works(given, work)


def test_without_the_right_to_write_secrets_the_sensor_goes_on_alone_and_says_so(
    tmp_path: Path, authority: Authority
) -> None:
    given = Given(tmp_path, authority, issued(authority, ANY))
    for service in (Service.SENSOR, *OTHERS):
        given.kept.refused[service] = ApiFailure("secrets is forbidden", 403)

    async def work() -> None:
        given.connect()
        await until("the Sensor's was made anew", lambda: given.again == 1)
        assert given.own.made() is not None
        [problem] = given.renewal.problems()
        assert "may not read and write Secrets" in problem
        # It is not asked for again and again.
        given.renewal.welcomed(CLUSTER)
        await settled()
        assert len(given.requests) == 1
        with pytest.raises(NetworkError, match="may not"):
            await given.renewal.now()
        # Once it may, all is well.
        given.kept.refused.clear()
        await given.renewal.now()
        assert given.renewal.problems() == []
        assert set(given.kept.secrets) == {Service.SENSOR, *OTHERS}

    works(given, work)


def test_a_secret_of_somebody_else_is_left_alone(tmp_path: Path, authority: Authority) -> None:
    given = Given(tmp_path, authority, issued(authority, ANY))
    given.kept.refused[Service.COLLECTOR] = Foreign("it is somebody else's")

    async def work() -> None:
        given.connect()
        await until("the Sensor's was made anew", lambda: given.again == 1)
        assert set(given.kept.secrets) == {Service.SENSOR, Service.ADMISSION_CONTROL}
        [problem] = given.renewal.problems()
        assert "COLLECTOR_SERVICE" in problem

    works(given, work)


def _nothing(answer: pb.Certificates) -> None:
    del answer.issued[:]


def _swapped(answer: pb.Certificates) -> None:
    one, two = answer.issued[0].certificate, answer.issued[1].certificate
    answer.issued[0].certificate, answer.issued[1].certificate = two, one


def _no_authority(answer: pb.Certificates) -> None:
    answer.authorities = b""


def _failed(answer: pb.Certificates) -> None:
    answer.failure = "this Central has no CA"


@pytest.mark.parametrize("spoil", [_nothing, _swapped, _no_authority, _failed])
def test_what_is_not_what_was_asked_for_changes_nothing(
    tmp_path: Path, authority: Authority, spoil: Callable[[pb.Certificates], None]
) -> None:
    first = issued(authority, ANY)
    given = Given(tmp_path, authority, first)
    given.spoil = spoil

    async def work() -> None:
        given.connect()
        await until("it was asked", lambda: bool(given.requests))
        await settled()
        assert given.kept.written == []
        assert given.own.made() is None
        assert serial(given.own) == number(first)
        assert given.again == 0
        # Asked once, and then after a pause.
        assert len(given.requests) == 1
        given.spoil = lambda _: None
        await given.renewal.now()
        assert given.again == 1

    works(given, work)


def test_of_another_cluster_nothing_is_taken(tmp_path: Path, authority: Authority) -> None:
    given = Given(tmp_path, authority, issued(authority, ANY))
    given.cluster = str(uuid4())

    async def work() -> None:
        given.connect()
        await until("it was asked", lambda: bool(given.requests))
        await settled()
        assert given.kept.written == []
        assert given.own.made() is None

    works(given, work)


def test_one_that_ends_soon_is_a_problem_that_says_why(tmp_path: Path, authority: Authority) -> None:
    given = Given(tmp_path, authority, issued(authority, now=ago(350)))
    given.spoil = _failed

    async def work() -> None:
        given.connect()
        await until("it was asked", lambda: bool(given.requests))
        await settled()
        [problem] = given.renewal.problems()
        assert "ends on" in problem
        assert "no CA" in problem

    works(given, work)
