"""Containers for the kernel's eyes: cgroups with a container's path, and the collector watching them.

The probe sees every process of the machine. Tests keep to the containers that they made, and show nothing of others.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, AnyStr, TypeVar

import pytest

from redoubt.collector import libbpf, loader
from redoubt.collector.collector import Collector
from redoubt.collector.loader import Settings
from redoubt.model.noderecords import Event, Loss, Process

E = TypeVar("E", bound=Event)
DEADLINE = 60
_CAP_PERFMON, _CAP_BPF = 38, 39


def missing() -> str:
    """What the kernel cannot be asked for here; empty where it can."""
    if os.geteuid() != 0:
        return "needs root"
    # Asked for by name: a probe that does not load for another reason is a fault, and no reason to skip.
    effective = int(re.findall(r"^CapEff:\s*(\w+)", Path("/proc/self/status").read_text(), re.M)[0], 16)
    if not effective >> _CAP_PERFMON & effective >> _CAP_BPF & 1:
        return "needs CAP_BPF and CAP_PERFMON"
    try:
        loader.built()
        libbpf.library()
    except libbpf.Unavailable as error:
        return str(error)
    if not loader.BTF.exists():
        return "needs a kernel with BTF"
    if hierarchy() is None:
        return "needs cgroups that can be made"
    return ""


def hierarchy() -> Path | None:
    """Where runtimes put containers on this machine: the pids controller's v1 hierarchy, or v2."""
    found = None
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, options = right.split()[0], right.split()[-1].split(",")
        if kind == "cgroup" and "pids" in options:
            found = Path(left.split()[4])
            break
        if kind == "cgroup2":
            found = Path(left.split()[4])
    return found if found is not None and os.access(found, os.W_OK) else None


_MISSING = missing()
needs_bpf = pytest.mark.skipif(bool(_MISSING), reason=_MISSING or "-")


def removed(folder: Path) -> None:
    """Remove a cgroup: who was in it is gone a moment after it was waited for."""
    end = time.monotonic() + DEADLINE
    while True:
        try:
            folder.rmdir()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


class Contained:
    """A cgroup that looks like the one of a container of a pod: any, or the one with that UID."""

    def __init__(self, pod: str = "") -> None:
        self.identifier = secrets.token_hex(32)
        self.pod = pod or str(uuid.uuid4())
        root = hierarchy()
        assert root is not None
        self.folder = root / "kubepods" / "burstable" / f"pod{self.pod}" / self.identifier

    def __enter__(self) -> Contained:
        self.folder.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        removed(self.folder)
        for folder in list(self.folder.parents)[:3]:
            with suppress(OSError):  # another test's are in it
                folder.rmdir()

    def run(
        self, *command: str | bytes, uid: int = 0, gid: int = 0, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """A command in it, as that user, which must end well."""

        def begin() -> None:
            self.enter()
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)

        return subprocess.run(
            command, preexec_fn=begin, timeout=DEADLINE, capture_output=True, cwd=cwd, check=True
        )

    def enter(self) -> None:
        """Put this process into it."""
        with open(self.folder / "cgroup.procs", "w") as file:
            file.write("0")


class Watching:
    """A collector in a thread of its own, and what it told."""

    def __init__(self, settings: Settings | None = None, **options: object) -> None:
        self.events: list[Event] = []
        self._ready = threading.Event()
        self.error: Exception | None = None
        self.collector = Collector(
            self.events.append,
            settings or Settings(),
            ready=lambda _: self._ready.set(),
            **options,  # type: ignore[arg-type]
        )
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.collector.run()
        except Exception as error:  # noqa: BLE001  # raised where the test waits
            self.error = error
        finally:
            self._ready.set()

    def __enter__(self) -> Watching:
        self._thread.start()
        assert self._ready.wait(DEADLINE), "the collector did not begin"
        if self.error:
            raise self.error
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it; all that happened before is told then."""
        self.collector.stop()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive(), "the collector did not end"
        if self.error:
            raise self.error

    def of(self, container: Contained, kind: type[E]) -> list[E]:
        """What it told of ``container``, of a kind."""
        return [
            each
            for each in list(self.events)
            if isinstance(each, kind) and each.container == container.identifier
        ]

    @property
    def losses(self) -> list[Loss]:
        """What it said it lost."""
        return [each for each in list(self.events) if isinstance(each, Loss)]

    def wait(self, told: Callable[[], bool], what: str) -> None:
        """Until ``told``."""
        end = time.monotonic() + DEADLINE
        while not told():
            assert time.monotonic() < end, f"waited for {what}"
            time.sleep(0.02)


@contextmanager
def watching(settings: Settings | None = None, **options: object) -> Iterator[tuple[Watching, Contained]]:
    """A collector, and a container that it watches."""
    with Contained() as container, Watching(settings, **options) as collector:
        yield collector, container


def line(
    process: subprocess.Popen[AnyStr], stream: IO[AnyStr] | None, holds: Callable[[AnyStr], bool], what: str
) -> AnyStr:
    """The first line of a process's stream that ``holds``. A process that does not write it in time is killed."""
    assert stream is not None
    timer = threading.Timer(DEADLINE, process.kill)
    timer.start()
    try:
        for each in stream:
            if holds(each):
                return each
    finally:
        timer.cancel()
    raise AssertionError(f"waited for {what}")


def paths(processes: list[Process]) -> list[str]:
    """The programs' files."""
    return [each.path for each in processes]
