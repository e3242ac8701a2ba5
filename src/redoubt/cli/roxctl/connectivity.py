"""What network policies in manifests let through, listed as the original does.

The evaluator is the one that Central simulates with. Every text in manifests may be hostile: none of it reaches a terminal as it is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from redoubt import kubeyaml
from redoubt.cli.console import Console, clean
from redoubt.errors import AccessDenied, LimitExceeded, RedoubtError, UnreadableInput, UsageError
from redoubt.indexer.sources.reference import named
from redoubt.model.cluster import ClusterNetworkPolicy
from redoubt.model.workload import Deployment
from redoubt.networkpolicies import writing
from redoubt.networkpolicies.evaluating import (
    NAMESPACE_NAME,
    Allowed,
    Workload,
    World,
    evaluated,
    named_ports,
)
from redoubt.networkpolicies.outside import Network, Outside, address
from redoubt.networkpolicies.ports import ANYTHING, LAST, NOTHING, PROTOCOLS, Ports
from redoubt.networkpolicies.spec import blocks
from redoubt.policies import kubernetes

#: Files in a folder, and workloads in them.
_MOST_FILES, _MOST_WORKLOADS = 20_000, 5000
_ENDINGS = frozenset({".yaml", ".yml"})
#: Source and destination → what is let through.
Connections = dict[tuple[str, str], Ports]
_NONE = "No Connections"


class Manifests(msgspec.Struct, frozen=True):
    """What is in a folder. ``problems`` are what could not be read, a line each."""

    workloads: Mapping[str, Workload]
    namespaces: Mapping[str, Mapping[str, str]]
    policies: Sequence[ClusterNetworkPolicy]
    problems: Sequence[str]


def read(folder: Path, *, stop: bool = False) -> Manifests:
    """All manifests below a folder, or in one file. Raises ``UnreadableInput``; with ``stop`` for the first that cannot be read too."""
    workloads: dict[str, Workload] = {}
    namespaces: dict[str, dict[str, str]] = {}
    policies: dict[tuple[str, str], ClusterNetworkPolicy] = {}
    problems: list[str] = []
    for file in _files(folder):
        try:
            for each in kubeyaml.objects(_text(file)):
                _take(each, workloads, namespaces, policies)
        except RedoubtError as error:
            if stop:
                raise UnreadableInput(f"{file}: {error}") from None
            problems.append(f"{file}: {error}")
        if len(workloads) > _MOST_WORKLOADS:
            raise LimitExceeded(f"{folder}: more than {_MOST_WORKLOADS} workloads")
    if not workloads:
        raise UnreadableInput(f"{folder}: there is no workload in it")
    return Manifests(workloads, namespaces, list(policies.values()), problems)


def mapped(manifests: Manifests, form: str, focus: str = "") -> str:
    """All connections, as text."""
    names = _focused(manifests, focus)
    found = _connections(manifests, _Ranges(manifests.policies))
    rows = [
        (source, target, _said(ports))
        for (source, target), ports in sorted(found.items())
        if not names or {source, target} & names
    ]
    match form:
        case "json":
            objects = [{"src": source, "dst": target, "conn": said} for source, target, said in rows]
            return msgspec.json.format(msgspec.json.encode(objects)).decode() + "\n"
        case "csv":
            return _csv([("src", "dst", "conn"), *rows])
        case "md":
            return _table(("src", "dst", "conn"), rows)
        case "dot":
            return _dot((source, target, said, "") for source, target, said in rows)
        case _:
            return "".join(f"{source} => {target} : {said}\n" for source, target, said in rows)


def differing(one: Manifests, other: Manifests, form: str) -> str:
    """What is let through otherwise, as text."""
    ranges = _Ranges([*one.policies, *other.policies])
    before, after = _connections(one, ranges, whole=False), _connections(other, ranges, whole=False)
    rows = []
    changes = {
        key: (before.get(key, NOTHING), after.get(key, NOTHING))
        for key in sorted(before.keys() | after.keys())
    }
    for (source, target), (old, new) in ranges.joined(changes).items():
        if old != new:
            kind = "changed" if old and new else "added" if new else "removed"
            rows.append((kind, source, target, _said(old), _said(new), _moved(one, other, source, target)))
    header = ("diff-type", "source", "destination", "dir1", "dir2", "workloads-diff-info")
    match form:
        case "csv":
            return _csv([header, *rows])
        case "md":
            return _table(header, rows)
        case "dot":
            colours = {"added": "green", "removed": "red", "changed": "orange"}
            return _dot((row[1], row[2], f"{row[3]} -> {row[4]}", colours[row[0]]) for row in rows)
        case _:
            lines = [
                f"diff-type: {row[0]}, source: {row[1]}, destination: {row[2]}, dir1: {row[3]}, dir2: {row[4]}"
                + (f", workloads-diff-info: {row[5]}" if row[5] else "")
                for row in rows
            ]
            return "".join(f"{line}\n" for line in ["Connectivity diff:", *lines] if rows)


def give(text: str, form: str, how: Mapping[str, Any], *, problems: Sequence[str]) -> None:
    """Print it, or write it into the file that was asked for. Raises ``UnreadableInput`` with ``strict`` where there are problems."""
    Console().warn_all([clean(each) for each in problems])
    file: Path | None = how["output_file"]
    if file is None and how["save_to_file"]:
        file = Path(f"connlist.{form}")
    if file is None:
        print(text, end="")
    else:
        if file.exists() and not how["remove"]:
            raise UsageError(f"{file} is there already; move it away, or say --remove")
        try:
            file.write_text(text, "utf-8")
        except OSError as error:
            raise AccessDenied(f"{file} cannot be written: {error.strerror}") from None
    if problems and how["strict"]:
        raise UnreadableInput(f"{len(problems)} of the manifests could not be read (--strict)")


class _Ranges:
    """The addresses that policies tell apart, as ranges of IPv4."""

    def __init__(self, policies: Iterable[ClusterNetworkPolicy]) -> None:
        several = sorted({block for each in policies for block in blocks(each.spec)})
        self.outside = Outside([Network(each, each) for each in several])
        self._ranges = self.outside.segments(4)

    def places(self) -> list[tuple[int, tuple[int, int]]]:
        """Who has which addresses, in their order."""
        return [(owner, (first, last)) for first, last, owner in self._ranges]

    def joined(self, given: Mapping[tuple[str, str], Any]) -> dict[tuple[str, str], Any]:
        """The same with ranges together that are beside each other and have the same."""
        found: dict[tuple[str, str], Any] = {}
        outer: dict[tuple[str, bool], list[tuple[int, int, Any]]] = {}
        names = {_span(*range_): range_ for _, range_ in self.places()}
        for (source, target), value in given.items():
            if (range_ := names.get(source)) is not None:
                outer.setdefault((target, True), []).append((*range_, value))
            elif (range_ := names.get(target)) is not None:
                outer.setdefault((source, False), []).append((*range_, value))
            else:
                found[source, target] = value
        for (inner, incoming), several in outer.items():
            together: list[tuple[int, int, Any]] = []
            for first, last, value in sorted(several, key=lambda each: each[:2]):
                if together and together[-1][1] + 1 == first and together[-1][2] == value:
                    together[-1] = (together[-1][0], last, value)
                else:
                    together.append((first, last, value))
            for first, last, value in together:
                name = _span(first, last)
                found[(name, inner) if incoming else (inner, name)] = value
        return dict(sorted(found.items()))


def _connections(manifests: Manifests, ranges: _Ranges, *, whole: bool = True) -> Connections:
    """All that is let through; ranges with the same are one where ``whole``."""
    names = sorted(manifests.workloads)
    world = World([manifests.workloads[name] for name in names], manifests.namespaces, ranges.outside)
    allowed = evaluated(world, manifests.policies)
    found: Connections = {}
    number = len(names)
    for at, name in enumerate(names):
        for target, ports in allowed.reached(at, world.labels.all).items():
            found[name, names[target]] = ports
        found |= _outer(allowed, ranges, at, name, number)
    return ranges.joined(found) if whole else found


def _outer(allowed: Allowed, ranges: _Ranges, at: int, name: str, number: int) -> Connections:
    reached = allowed.reached(at, allowed.world.outside.all << number)
    found: Connections = {}
    for owner, range_ in ranges.places():
        if out := reached.get(number + owner):
            found[name, _span(*range_)] = out
        if into := allowed.between(number + owner, at):
            found[_span(*range_), name] = into
    return found


def _take(
    given: dict[str, Any],
    workloads: dict[str, Workload],
    namespaces: dict[str, dict[str, str]],
    policies: dict[tuple[str, str], ClusterNetworkPolicy],
) -> None:
    meta = given.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    if given.get("kind") == writing.KIND:
        policy = writing.from_object({**given, "metadata": {"namespace": "default", **meta}})
        key = (policy.namespace, policy.name)
        if key in policies:
            raise UnreadableInput(f"there are several network policies {policy.namespace}/{policy.name}")
        policies[key] = msgspec.structs.replace(policy, id="/".join(key))
    elif given.get("kind") == "Namespace" and isinstance(name := meta.get("name"), str):
        labels = meta.get("labels")
        said = labels if isinstance(labels, dict) else {}
        namespaces[name] = {NAMESPACE_NAME: name} | {
            key: value for key, value in said.items() if isinstance(key, str) and isinstance(value, str)
        }
    elif kubernetes.is_workload(given) and not kubernetes.owned(given):
        found = kubernetes.deployment(given, named, namespace="default")
        workloads[clean(f"{found.namespace}/{found.name}[{found.type}]")] = _workload(found)


def _workload(found: Deployment) -> Workload:
    return Workload(
        id=found.name,
        namespace=found.namespace,
        labels=found.pod_labels,
        named=named_ports(found.ports),
        host_network=found.host_network,
    )


def _focused(manifests: Manifests, focus: str) -> set[str]:
    if not focus:
        return set()
    found = {
        name
        for name, each in manifests.workloads.items()
        if focus in (each.id, f"{each.namespace}/{each.id}")
    }
    if not found:
        raise UsageError(f"there is no workload {focus!r} in these manifests")
    return found


def _moved(one: Manifests, other: Manifests, *ends: str) -> str:
    said = []
    for each in ends:
        there = each in one.workloads, each in other.workloads
        if there in ((True, False), (False, True)):
            said.append(f"workload {each} {'removed' if there[0] else 'added'}")
    return ", ".join(said)


def _said(these: Ports) -> str:
    if not these:
        return _NONE
    if these == ANYTHING:
        return "All Connections"
    by_protocol: dict[str, list[str]] = {}
    for protocol, first, last in these:
        first = max(first, 1)
        text = str(first) if first == last else f"{first}-{min(last, LAST)}"
        by_protocol.setdefault(PROTOCOLS[protocol], []).append(text)
    return ",".join(f"{name} {','.join(several)}" for name, several in sorted(by_protocol.items()))


def _span(first: int, last: int) -> str:
    return f"{address(4, first)}-{address(4, last)}"


def _files(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise UnreadableInput(f"{folder}: there is no such folder")
    found = sorted(each for each in folder.rglob("*") if each.suffix.lower() in _ENDINGS and each.is_file())
    if len(found) > _MOST_FILES:
        raise LimitExceeded(f"{folder}: more than {_MOST_FILES} files")
    return found


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > 4 * kubeyaml.LARGEST:
            raise LimitExceeded(f"more than {4 * kubeyaml.LARGEST} bytes")
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableInput(f"cannot be read ({type(error).__name__})") from None


def _csv(rows: Iterable[Sequence[str]]) -> str:
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerows(rows)
    return made.getvalue()


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    escaped: Callable[[str], str] = lambda text: text.replace("|", "\\|")  # noqa: E731  # used twice below
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(map(escaped, line))} |\n" for line in lines)


def _dot(edges: Iterable[tuple[str, str, str, str]]) -> str:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    lines = [
        f"\t{quoted(source)} -> {quoted(target)} [label={quoted(said)}{f' color={colour}' if colour else ''}]\n"
        for source, target, said, colour in edges
    ]
    return "digraph {\n" + "".join(lines) + "}\n"
