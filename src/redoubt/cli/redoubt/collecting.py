"""``redoubt collector``: what happens in this node's containers, told to the Sensor or as lines of JSON; and ``redoubt node``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from redoubt.cli.console import Console
from redoubt.cli.entry import HELP, Configured, require
from redoubt.cli.redoubt import options, serving

if TYPE_CHECKING:
    from redoubt.collector.sources import Method
    from redoubt.model.noderecords import CollectorHealth, Event


@click.command(cls=Configured, context_settings=HELP)
@serving.CONFIG
@serving.SET
@click.option(
    "--print", is_flag=True, help="Print events, a line of JSON each; without it, the Sensor is told."
)
@click.option("--all", is_flag=True, help="Also tell what happens outside of containers.")
@click.option("--scrape/--no-scrape", default=True, help="Tell what runs already. [default: yes]")
@click.option(
    "--flows",
    is_flag=True,
    help="Tell who talks to whom, and its end after five minutes, in place of connections.",
)
@click.option(
    "--method",
    type=click.Choice(["auto", "core_bpf", "proc_connector"]),
    default="auto",
    show_default=True,
    help="How the kernel is asked; auto: with BPF, or else without, and says so.",
)
@click.option(
    "--ring",
    type=click.IntRange(12, 28),
    default=23,
    show_default=True,
    help="The ring between kernel and collector has 2^N bytes.",
)
@options.quiet
def collector(
    config: Path | None,
    set: tuple[str, ...],  # noqa: A002  # this and the next two: called as on the command line
    print: bool,  # noqa: A002
    all: bool,  # noqa: A002
    scrape: bool,
    flows: bool,
    method: Method,
    ring: int,
    quiet: bool,
) -> None:
    """Tell what processes of this node's containers do: programs started, connections, listening sockets.

    \b
    redoubt collector --config FILE      told to the Sensor
    redoubt collector --print            what happens in containers
    redoubt collector --print --all      on the whole machine

    Needs Linux 5.8 or newer with BTF, CAP_BPF and CAP_PERFMON (or root), and libbpf 1. Without these, CAP_NET_ADMIN shows
    less. The options below are for --print; what the Sensor is told is set by --config, --set and the environment.
    """
    if not print:
        require(not (all or flows) and scrape and method == "auto", "give --print, or settings (--set)")
        _serve(config, set)
        return
    require(config is None and not set, "--print has no settings; give options")
    from redoubt.collector.afterglow import AFTERGLOW
    from redoubt.collector.collector import Collector
    from redoubt.collector.loader import Settings

    console = Console(quiet=quiet)
    running = Collector(
        _line,
        Settings(only_containers=not all, ring=1 << ring),
        method,
        scrape=scrape,
        afterglow=AFTERGLOW if flows else None,
        ready=lambda health: _ready(console, health),
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: running.stop())
    running.run()
    health = running.health
    lost = sum(sum(each.values()) for each in health.lost)
    console.done(f"{health.events:,} events, {lost:,} records lost, {sum(health.missed.values()):,} missed")


def _serve(config: Path | None, said: tuple[str, ...]) -> None:
    from redoubt import configuration
    from redoubt.collector import config as settings
    from redoubt.collector.serving import collector as serve

    given = settings.load(config, flags=configuration.given(settings.Settings, said))
    serving.logging(given.log_level, given.log_format)
    serving.run(lambda: serve(given))


def _ready(console: Console, health: CollectorHealth) -> None:
    if health.degraded:
        console.warn(health.degraded)
        for each in health.unseen:
            console.warn(each)
    console.notice(f"watching by {health.method}")
    sys.stdout.flush()


def _line(event: Event) -> None:
    import msgspec

    text = msgspec.json.encode(event).decode()
    if not text.isprintable():
        text = "".join(c if c.isprintable() else _escaped(c) for c in text)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _escaped(character: str) -> str:
    """A character as JSON writes it without showing it."""
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


@click.command(cls=Configured, context_settings=HELP)
@serving.CONFIG
@serving.SET
def node(config: Path | None, set: tuple[str, ...]) -> None:  # noqa: A002  # called as on the command line
    """Run the node agent: it tells the Sensor what is installed on its host, and what the API server's audit log says.

    \b
    redoubt node --set host_root=/host --set node_name=worker-1

    It reads the host and writes nothing there. Its certificate is a Collector's.
    """
    from redoubt import configuration
    from redoubt.node import config as settings
    from redoubt.node.serving import node as serve

    given = settings.load(config, flags=configuration.given(settings.Settings, set))
    serving.logging(given.log_level, given.log_format)
    serving.run(lambda: serve(given))
