"""Processes as the kernel of this machine tells them: every one, whose it is, and with what arguments."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from redoubt.collector.loader import Probe, Settings
from redoubt.collector.observer import Observer
from redoubt.model.noderecords import Process
from support.kernel import DEADLINE, Contained, line, needs_bpf, paths, removed, watching

pytestmark = needs_bpf

#: As many programs as CI has time for; `make bench` starts 20,000.
MANY = 2_000


def test_every_program_that_is_started_is_told_once() -> None:
    script = f"i=0; while [ $i -lt {MANY} ]; do /bin/true $i; i=$((i+1)); done"
    with watching() as (collector, container):
        container.run("/bin/sh", "-c", script)
        collector.stop()
        told = collector.of(container, Process)
    assert [each.arguments[1] for each in told if each.name == "true"] == [str(i) for i in range(MANY)]
    assert len(told) == MANY + 1
    assert collector.collector.health.lost
    assert sum(sum(each.values()) for each in collector.collector.health.lost) == 0


def test_a_process_is_told_with_its_container_pod_users_and_ancestors() -> None:
    with watching() as (collector, container):
        container.run("/bin/sh", "-c", "/bin/sh -c '/bin/true inner; exit 0'; exit 0", uid=1234, gid=555)
        collector.stop()
        told = collector.of(container, Process)
    inner = next(each for each in told if each.name == "true")
    shell = os.path.realpath("/bin/sh")
    assert inner.arguments == ("/bin/true", "inner")
    assert (inner.path, inner.asked) == (os.path.realpath("/bin/true"), "/bin/true")
    assert (inner.uid, inner.gid) == (1234, 555)
    assert inner.pod == container.pod
    assert [(each.path, each.uid) for each in inner.ancestors] == [(shell, 1234), (shell, 1234)]
    assert inner.parent == told[1].pid
    assert abs(inner.time - time.time_ns()) < 3600 * 10**9
    assert inner.mounts == os.stat("/proc/self/ns/mnt").st_ino


def test_what_is_in_no_container_is_not_told_unless_it_is_wanted() -> None:
    with watching() as (collector, container):
        subprocess.run(["/bin/true", container.identifier], check=True)
        container.run("/bin/true")
        collector.stop()
    assert all(each.container for each in collector.events)
    with watching(Settings(only_containers=False)) as (collector, container):
        subprocess.run(["/bin/true", container.identifier], check=True)
        collector.stop()
    mine = [e for e in collector.events if isinstance(e, Process) and container.identifier in e.arguments]
    assert [each.container for each in mine] == [""]


def test_a_program_that_runs_already_is_told_as_such() -> None:
    with Contained() as container:
        running = subprocess.Popen(["/bin/sleep", "600"], preexec_fn=container.enter)
        try:
            with watching() as (collector, _):
                collector.wait(lambda: bool(collector.of(container, Process)), "the one that ran already")
                told = collector.of(container, Process)
        finally:
            running.kill()
            running.wait(DEADLINE)
    assert [(each.pid, each.scraped, each.arguments) for each in told] == [
        (running.pid, True, ("/bin/sleep", "600"))
    ]
    assert (told[0].path, told[0].pod) == (os.path.realpath("/bin/sleep"), container.pod)


def test_the_file_is_told_that_runs_and_not_what_it_was_called(tmp_path: Path) -> None:
    (tmp_path / "innocent").symlink_to(os.path.realpath("/bin/true"))
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n:\n")
    script.chmod(0o755)
    with watching() as (collector, container):
        container.run(str(tmp_path / "innocent"))
        container.run(str(script))
        container.run("./innocent", cwd=tmp_path)
        collector.stop()
        told = collector.of(container, Process)
    real, shell = os.path.realpath("/bin/true"), os.path.realpath("/bin/sh")
    assert paths(told) == [real, shell, real]
    assert [each.asked for each in told] == [str(tmp_path / "innocent"), str(script), "./innocent"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((b"one\ntwo", b"\x1b[31mred"), ("one\ntwo", "\x1b[31mred")),
        ((b"\xff\xfe", b"", b""), ("\\xff\\xfe", "", "")),
        (("\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe".encode(),), ("\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe",)),
    ],
    ids=["control", "not utf-8 and empty", "bidi"],
)
def test_arguments_are_told_as_they_are(arguments: tuple[bytes, ...], expected: tuple[str, ...]) -> None:
    with watching() as (collector, container):
        container.run("/bin/true", *arguments)
        collector.stop()
        (told,) = collector.of(container, Process)
    assert told.arguments == ("/bin/true", *expected)
    assert told.cut == 0


@pytest.mark.parametrize("arguments", [(b"a" * 131_000,), (b"x",) * 50_000], ids=["long", "many"])
def test_of_many_arguments_the_first_are_told_and_how_much_is_not(arguments: tuple[bytes, ...]) -> None:
    with watching() as (collector, container):
        container.run("/bin/true", *arguments)
        collector.stop()
        (told,) = collector.of(container, Process)
    whole = b"\0".join((b"/bin/true", *arguments)) + b"\0"
    assert "\0".join(told.arguments) == whole[:4095].decode().removesuffix("\0")
    assert told.cut == len(whole) - 4095


def test_a_programs_name_may_have_any_characters(tmp_path: Path) -> None:
    program = tmp_path / "a\nb\x1b[31m\x07'\" \\ c"
    program.write_bytes(Path(os.path.realpath("/bin/true")).read_bytes())
    program.chmod(0o755)
    deep = tmp_path
    for _ in range(20):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (deep / "true").write_bytes(program.read_bytes())
    (deep / "true").chmod(0o755)
    with watching() as (collector, container):
        container.run(str(program))
        container.run(str(deep / "true"))
        collector.stop()
        told = collector.of(container, Process)
    assert paths(told) == [str(program), str(deep / "true")]
    assert told[0].name == program.name[:15]


@pytest.mark.parametrize("depth", [1, 5, 100])
def test_a_container_hides_in_no_cgroup_that_it_makes(depth: int) -> None:
    """Deep ones, and ones with another container's name."""
    with watching() as (collector, container):
        deep = [container.folder]
        for number in range(depth):
            deep.append(deep[-1] / ("f" * 64 if number % 2 == 0 else "kubepods"))
            deep[-1].mkdir()
        try:
            script = f"echo $$ > {deep[-1]}/cgroup.procs && exec /bin/true hidden"
            container.run("/bin/sh", "-c", script)
            collector.stop()
            told = collector.of(container, Process)
        finally:
            for each in reversed(deep[1:]):
                removed(each)
    assert [each.arguments[-1] for each in told][1:] == ["hidden"]
    assert told[-1].pod == container.pod


def test_every_loss_is_counted() -> None:
    script = "i=0; while [ $i -lt 300 ]; do /bin/true $i; i=$((i+1)); done"
    with Contained() as container:
        probe = Probe(Settings(ring=1 << 14))
        try:
            container.run("/bin/sh", "-c", script)
            probe.detach()  # other tests' programs are counted too, as long as it looks
            observer, seen = Observer(), 0
            for record in probe.ring.records():
                observer.take(record)
                seen += 1
            counts = probe.counts()
        finally:
            probe.close()
    assert observer.spoilt == 0
    assert counts.all_lost > 0
    assert sum(counts.made.values()) == seen + counts.all_lost
    assert counts.made["exec"] >= 301


def test_a_loss_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redoubt.collector.sources.NAP", 5)
    script = "i=0; while [ $i -lt 300 ]; do /bin/true $i; i=$((i+1)); done"
    with watching(Settings(ring=1 << 12)) as (collector, container):
        container.run("/bin/sh", "-c", script)
        collector.stop()
    health = collector.collector.health
    assert sum(sum(each.lost.values()) for each in collector.losses) == sum(
        sum(each.values()) for each in health.lost
    )
    assert collector.losses
    for each in collector.losses:
        assert sum(each.cpus) == sum(each.lost.values()) > 0


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "redoubt", "collector", "--print", "--no-scrape", *arguments]


def test_the_command_prints_lines_of_json_and_begins_again_after_it_was_killed() -> None:
    with Contained() as container:
        mine = container.identifier.encode()
        for sign, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 0)):
            running = subprocess.Popen(command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            try:
                line(running, running.stderr, lambda each: b"watching by core_bpf" in each, "its beginning")
                container.run("/bin/true", "\x1b[31m\x9b\n")
                written = line(running, running.stdout, lambda each: mine in each, "the event")
                running.send_signal(sign)
                running.communicate(timeout=DEADLINE)
            finally:
                running.kill()
                running.wait(DEADLINE)
            assert running.returncode == code
            assert written.decode().rstrip("\n").isprintable()
            told = json.loads(written)
            assert told["event"] == "process"
            assert told["path"] == os.path.realpath("/bin/true")
            assert told["arguments"] == ["/bin/true", "\x1b[31m\x9b\n"]
            assert told["pod"] == container.pod
