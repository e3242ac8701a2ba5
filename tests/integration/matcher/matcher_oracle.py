"""A second matcher, as naive as can be: upstream's files read with ``json``, each rule as its text says it.

OSV: the evaluation algorithm of the OSV schema, word for word. Debian: the tracker's JSON. Alpine and Wolfi:
secdb. What ``docs/sources.md`` and ``docs/matching.md`` decide beyond upstream's own rules is decided here again,
from the documents. Shares nothing with the code under test.
"""

from __future__ import annotations

import gzip
import json
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from matcher_orders import Order, ascending

Events = list[tuple[str, str]]


class Claim(NamedTuple):
    """What one record says of one package. ``ranges`` are OSV's, each a list of events.

    ``flaws`` are the names of the flaw; with ``notice`` they are so many different flaws. ``module`` is
    the stream whose packages a claim is about (``-`` none, ``*`` any), ``arches`` and ``repositories`` are those
    whose packages it is about (none: all; the empty repository is that of packages that name none). ``spared`` are
    requirements of gems: what any of them holds is not affected. ``channel`` is what must be subscribed to for the fix.
    """

    ref: str
    flaws: tuple[str, ...]
    ranges: list[Events]
    listed: frozenset[str] = frozenset()
    notice: bool = False
    status: str = "affected"
    module: str = ""
    arches: frozenset[str] = frozenset()
    repositories: frozenset[str] = frozenset()
    spared: tuple[str, ...] | None = None
    channel: str = ""


class Probe(NamedTuple):
    """One installed package: what decides, and what a record's ranges are asked about."""

    version: str
    module: str = ""
    arch: str = "x86_64"
    repository: str = ""


class Expected(NamedTuple):
    """A finding, as the documents say that it must come out."""

    aliases: frozenset[str]
    fixed: str
    refs: frozenset[str]
    status: str


# Reading upstream's files.


def osv(data: Path, ecosystem: str, source: str) -> dict[str, list[Claim]]:
    """Package → claims of OSV's records of an ecosystem."""
    found: dict[str, list[Claim]] = {}
    with zipfile.ZipFile(data / "osv" / ecosystem / "all.zip") as archive:
        for member in archive.namelist():
            record = json.loads(archive.read(member))
            if record.get("withdrawn"):
                continue
            for name, (ranges, listed) in _packages(record, ecosystem).items():
                if ranges or listed:
                    flaws = (record["id"], *record.get("aliases", ()))
                    claim = Claim(f"{source}/{record['id']}", flaws, ranges, frozenset(listed))
                    found.setdefault(name, []).append(claim)
    return found


def _packages(record: dict, ecosystem: str) -> dict[str, tuple[list[Events], set[str]]]:  # type: ignore[type-arg]
    packages: dict[str, tuple[list[Events], set[str]]] = {}
    for entry in record.get("affected", ()):
        package = entry.get("package", {})
        if package.get("ecosystem", "").partition(":")[0] != ecosystem:
            continue
        name = package["name"]
        if ecosystem == "PyPI":
            name = re.sub("[-_.]+", "-", name).lower()
        ranges, listed = packages.setdefault(name, ([], set()))
        listed.update(entry.get("versions", ()))
        for item in entry.get("ranges", ()):
            if item["type"] in ("SEMVER", "ECOSYSTEM"):
                ranges.append([pair for event in item["events"] for pair in event.items()])
    return packages


_BUILD_OF_A_MODULE = ".module_el"
#: "php:7.4", but not the erratum's own name.
_STREAM = re.compile(r"(?<!\S)(?!AL[SBE]A-)[^\s:]+:[^\s:,]+")


def almalinux(data: Path) -> dict[str, dict[str, list[Claim]]]:
    """Namespace → package → claims of errata. Every build listed is repaired: each is a claim's range."""
    found: dict[str, dict[str, list[Claim]]] = {}
    with zipfile.ZipFile(data / "osv/AlmaLinux/all.zip") as archive:
        for member in archive.namelist():
            record = json.loads(archive.read(member))
            named = [*record.get("related", ()), *record.get("upstream", ())]
            cves = tuple(sorted({name for name in named if name.startswith("CVE-")}))
            if record.get("withdrawn") or not (cves or record["id"].startswith("ALSA-")):
                continue
            streams = _STREAM.findall(record.get("summary", "")) or ["*"]
            builds: dict[tuple[str, str, str], list[str]] = {}
            for entry in record["affected"]:
                namespace = entry["package"]["ecosystem"].replace("AlmaLinux", "almalinux")
                for item in entry["ranges"]:
                    for event in item["events"]:
                        if "fixed" in event:
                            modular = _BUILD_OF_A_MODULE in event["fixed"]
                            for module in streams if modular else ["-"]:
                                key = (namespace, entry["package"]["name"], module)
                                builds.setdefault(key, []).append(event["fixed"])
            for (namespace, name, module), fixes in builds.items():
                # Each build is repaired, so the union of OSV's ranges is not what is meant (docs/sources.md).
                events = [("introduced", "0"), *(("fixed", fix) for fix in fixes)]
                claim = Claim(
                    f"osv-almalinux/{record['id']}",
                    cves or (record["id"],),
                    [events],
                    notice=True,
                    module=module,
                )
                found.setdefault(namespace, {}).setdefault(name, []).append(claim)
    return found


_DEBIAN = {"jessie": "8", "stretch": "9", "buster": "10", "bullseye": "11", "bookworm": "12", "trixie": "13"}

_DEBIAN_STATUSES = ("resolved", "open", "undetermined")


def debian(tracker: Path) -> dict[str, dict[str, list[Claim]]]:
    """Namespace → source package → claims of the security tracker."""
    data = gzip.decompress(tracker.read_bytes()) if tracker.suffix == ".gz" else tracker.read_bytes()
    found: dict[str, dict[str, list[Claim]]] = {}
    for package, flaws in json.loads(data).items():
        for flaw, entry in flaws.items():
            releases = entry.get("releases", {})
            if not all(isinstance(said.get("fixed_version", ""), str) for said in releases.values()):
                continue  # an entry that is broken anywhere is not used
            for codename, said in releases.items():
                if codename in _DEBIAN and said["status"] in _DEBIAN_STATUSES:
                    claim = Claim(f"debian/{flaw}", (flaw,), *_debian_ranges(said))
                    found.setdefault(f"debian:{_DEBIAN[codename]}", {}).setdefault(package, []).append(claim)
    return found


def _debian_ranges(said: dict[str, str]) -> tuple[list[Events], frozenset[str], bool, str]:
    everything = [("introduced", "0")]
    if said["status"] == "undetermined":
        return [everything], frozenset(), False, "under_investigation"
    if said["status"] == "resolved":
        if said["fixed_version"] == "0":
            return [everything], frozenset(), False, "not_affected"
        return [[*everything, ("fixed", said["fixed_version"])]], frozenset(), False, "affected"
    if said.get("urgency", "").startswith("end-of-life"):
        return [everything], frozenset(), False, "end_of_life"
    reasons = {"ignored": "will_not_fix", "postponed": "fix_deferred"}
    return [everything], frozenset(), False, reasons.get(said.get("nodsa_reason", ""), "affected")


_CVE = re.compile(r"CVE[-_ ]+(\d{4})[-_](\d{4,})(?!\d)", re.IGNORECASE)


def secdb(files: Iterable[Path], source: str) -> dict[str, dict[str, list[Claim]]]:
    """Namespace → origin package → claims of secdb files. Several fixes of a flaw: all have to be there."""
    fixes: dict[tuple[str, str, str], set[str]] = {}
    others: dict[str, set[str]] = {}
    for file in files:
        content = json.loads(file.read_text())
        release = content.get("distroversion")
        namespace = f"alpine:{release}" if release else source
        for wrapper in content["packages"] or ():
            package = wrapper["pkg"]
            for version, texts in (package.get("secfixes") or {}).items():
                for text in texts or ():
                    for flaw, beside in _named(text):
                        fixes.setdefault((namespace, package["name"], flaw), set()).add(version)
                        others.setdefault(flaw, set()).update(beside)
    shared = _shared(others)
    found: dict[str, dict[str, list[Claim]]] = {}
    for (namespace, name, flaw), versions in fixes.items():
        needed = [("fixed", version) for version in versions if version != "0"]
        ranges: list[Events] = [[("introduced", "0"), event] for event in needed] or [[("introduced", "0")]]
        claim = Claim(
            f"{source}/{flaw}",
            (flaw, *sorted(others[flaw] - shared)),
            ranges,
            status="affected" if needed else "not_affected",
        )
        found.setdefault(namespace, {}).setdefault(name, []).append(claim)
    return found


def _named(text: str) -> Iterator[tuple[str, set[str]]]:
    cves = [f"CVE-{year}-{number}" for year, number in _CVE.findall(text)]
    rest = re.findall(r"GHSA(?:-[0-9a-z]{4}){3}|[A-Za-z][\w-]*-[\w.-]*\d\w*", _CVE.sub(" ", text))
    rest = [word for word in rest if not word.upper().startswith("CVE") and "?" not in word]
    if cves:
        for cve in dict.fromkeys(cves):
            yield cve, set(rest) if len(set(cves)) == 1 else set()
    elif rest:
        yield rest[0], set(rest[1:])


def _shared(others: dict[str, set[str]]) -> set[str]:
    """Names beside several CVEs: they are notices about these, not other names of one of them."""
    return {
        name for names in others.values() for name in names if sum(name in n for n in others.values()) > 1
    }


# Names.

Names = dict[str, set[str]]


def told(claims: Iterable[Claim], own: Names, mentioned: Names) -> None:
    """Notes which CVEs claims call GitHub's ids: their ``own`` id, and those that are ``mentioned`` beside it."""
    for claim in claims:
        cves = {name for name in claim.flaws if name.startswith("CVE-")}
        for name in claim.flaws if cves and not claim.notice else ():
            if name.startswith("GHSA-"):
                (own if claim.ref.endswith("/" + name) else mentioned).setdefault(name, set()).update(cves)


def told_by_chainguard(archive: Path, mentioned: Names) -> None:
    """The same of Chainguard's own advisories, which bear both names."""
    with tarfile.open(archive) as records:
        for member in records:
            record = json.load(records.extractfile(member))  # type: ignore[arg-type]
            if "CGA-" in member.name and not record.get("withdrawn"):
                cves = {name for name in record["upstream"] if name.startswith("CVE-")}
                for name in record["upstream"] if cves else ():
                    if name.startswith("GHSA-"):
                        mentioned.setdefault(name, set()).update(cves)


def renamed(claim: Claim, own: Names, mentioned: Names) -> Claim:
    """A claim that only knows GitHub's id, with the one CVE that others say it is."""
    if claim.notice or any(name.startswith("CVE-") for name in claim.flaws):
        return claim
    cves = set().union(*(own.get(name) or mentioned.get(name, set()) for name in claim.flaws))
    return claim._replace(flaws=(*claim.flaws, *cves)) if len(cves) == 1 else claim


# Judging.


def texts(claim: Claim) -> set[str]:
    """Every version that a claim names."""
    numbers = {text for one in claim.spared or () for text in re.findall(r"[\w.-]*\d[\w.-]*", one)}
    return {text for events in claim.ranges for _, text in events} | claim.listed | numbers


def holds(claim: Claim, version: str, order: Order) -> bool:
    """IsVulnerable of the OSV schema: listed, or in any range. Equal versions are the same version."""
    known = order.known
    key = (id(claim), version)
    if key not in known and claim.spared is not None:
        known[key] = not any(order.satisfies(text, version) for text in claim.spared)
    elif key not in known:
        known[key] = (
            version in claim.listed
            or any(order(version, text) == 0 for text in claim.listed)
            or any(_in_range(events, version, order) for events in claim.ranges)
        )
    return known[key]


def _in_range(events: Events, version: str, order: Order) -> bool:
    if all(kind == "introduced" and text == "0" for kind, text in events):
        return True
    if order(version, version) is None:  # has no place: only what names it
        named = {text for kind, text in events if kind in ("introduced", "last_affected")} - {"0"}
        return version in named
    limits = [text for kind, text in events if kind == "limit"]
    if limits and not any(text == "*" or _less(order, version, text) for text in limits):
        return False
    vulnerable = False
    for kind, text in _sorted(events, order):
        if kind == "introduced" and (text == "0" or not _less(order, version, text)):
            vulnerable = True
        if kind == "fixed" and not _less(order, version, text):
            vulnerable = False
        if kind == "last_affected" and _less(order, text, version):
            vulnerable = False
    if any(kind == "fixed" and order(text, text) is None for kind, text in events):
        return False  # the end has no place, so nothing is known to be below it
    return vulnerable


def _ends(events: Events, order: Order) -> Iterator[str]:
    """Where ``fixed`` really ends something that was introduced and not yet ended."""
    vulnerable = False
    for kind, text in _sorted(events, order):
        if kind == "fixed" and vulnerable:
            yield text
        vulnerable = kind == "introduced"


def _less(order: Order, a: str, b: str) -> bool:
    return (order(a, b) or 0) < 0


def _sorted(events: Events, order: Order) -> Events:
    first = [event for event in events if event == ("introduced", "0")]
    rest = [
        event for event in events if event != ("introduced", "0") and order(event[1], event[1]) is not None
    ]
    placed: Events = list(first)
    for text in dict.fromkeys(ascending(order, [text for _, text in rest])):
        # At one version what is open ends before the next begins; what is not begins and ends.
        started = bool(placed) and placed[-1][0] == "introduced"
        same = [event for event in rest if event[1] == text]
        placed += sorted(same, key=lambda event: (event[0] == "introduced") is started)
    return placed


#: The version with which a gem requirement begins.
_BEGINS = re.compile(r"(?:>=|~>|(?<![<>!~])=) *([\w.-]+)")


def applies(claim: Claim, probe: Probe) -> bool:
    """Whether a claim speaks of a package: its module stream (empty: outside modules), architecture, repository."""
    module = probe.module
    if claim.arches and probe.arch != "noarch" and not claim.arches & {probe.arch, "noarch"}:
        return False
    if claim.repositories and probe.repository not in claim.repositories:
        return False
    match claim.module:
        case "":
            return True
        case "-":
            return not module
        case "*":
            return bool(module)
    return module == claim.module or module.startswith(claim.module + ":")


def fixes(claim: Claim, version: str, order: Order) -> set[str]:
    """Versions above ``version`` that a claim calls repaired."""
    if claim.status in ("not_affected", "under_investigation"):
        return set()
    if id(claim) not in order.ends:
        ends = {text for events in claim.ranges for text in _ends(events, order)}
        # Where a requirement of what is not affected begins, there is a way out.
        ends |= {found[1] for one in claim.spared or () for found in _BEGINS.finditer(one)}
        order.ends[id(claim)] = ends
    fixed = order.ends[id(claim)]
    return {text for text in fixed if not holds(claim, text, order) and _less(order, version, text)}


#: The minor release in a build's name; builds of modules are not told apart by it.
_MINOR = re.compile(r"\.el(\d+_\d+)")
#: Claims about fewer flaws than their notices', by the notice's: kept, since what is known of claims is kept by identity.
_narrowed: dict[tuple[int, tuple[str, ...]], Claim] = {}


def _minors(claim: Claim) -> set[str]:
    found = (_MINOR.search(text) for events in claim.ranges for kind, text in events if kind == "fixed")
    return {match[1] for match in found if match}


def _of_minor(claims: list[Claim], probe: Probe) -> list[Claim]:
    """Without what notices of other minor releases say of flaws that the package's own has a notice about."""
    line = _MINOR.search(probe.version)
    if line is None or probe.module or not any(_minors(claim) for claim in claims if claim.notice):
        return claims
    own = {name for claim in claims if claim.notice and line[1] in _minors(claim) for name in claim.flaws}
    kept = []
    for claim in claims:
        left = tuple(name for name in claim.flaws if name not in own)
        if not claim.notice or line[1] in _minors(claim) or left == claim.flaws:
            kept.append(claim)
        elif left:
            kept.append(_narrowed.setdefault((id(claim), left), claim._replace(flaws=left)))
    return kept


def _subscribed(held: list[Claim], mine: list[Claim], version: str) -> list[Claim]:
    """Without records whose fix for subscribers a build of theirs has."""
    if not re.search(r"[~+]esm\d", version):
        return held
    repaired = {claim.ref for claim in mine if claim.channel and claim not in held}
    return [claim for claim in held if claim.ref not in repaired]


def judge(claims: list[Claim], probe: Probe, order: Order) -> tuple[dict[str, Expected], set[str]]:
    """Finding id → finding; and all versions that may be named as the upgrade (empty: none)."""
    every = [claim for claim in claims if applies(claim, probe)]
    mine = _of_minor(every, probe)
    held = _subscribed([claim for claim in mine if holds(claim, probe.version, order)], mine, probe.version)
    denied = {name for claim in held if claim.status == "not_affected" for name in claim.flaws}
    found: dict[str, Expected] = {}
    fixable: list[Claim] = []
    hopeless: list[Claim] = []
    for names, group in _groups([claim for claim in held if claim.status != "not_affected"]):
        cves = sorted((name for name in names if _is_cve(name)), key=_number)
        left = [name for name in cves if name not in denied]
        if (cves and not left) or (not cves and denied & names):
            continue
        # A notice names itself; its record is what the finding is called where there is no CVE.
        name = left[0] if left else min(claim.ref.partition("/")[2] for claim in group)
        fixed = _fixed(group, probe.version, order)
        for claim in group:
            free = fixed and not claim.channel and fixes(claim, probe.version, order)
            (fixable if free else hopeless).append(claim)
        statuses = {claim.status for claim in group}
        found[name] = Expected(
            frozenset(names - {name}),
            fixed,
            frozenset(claim.ref for claim in group),
            statuses.pop() if len(statuses) == 1 else "?",
        )
    upgrades = _upgrades(mine, fixable, hopeless, probe.version, order)
    if mine != every and {_minor(text) for text in upgrades} != {_minor(probe.version)}:
        upgrades = _upgrades(every, fixable, hopeless, probe.version, order)
    return found, upgrades


def _minor(version: str) -> str:
    found = _MINOR.search(version)
    return found[1] if found else ""


def _groups(claims: list[Claim]) -> Iterator[tuple[set[str], list[Claim]]]:
    """Claims that share a name are of one flaw; a notice is in the group of each of its flaws."""
    left = [({name}, [claim]) for claim in claims if claim.notice for name in claim.flaws]
    left += [(set(claim.flaws), [claim]) for claim in claims if not claim.notice]
    groups: dict[str, tuple[set[str], list[Claim]]] = {}  # by each of its names
    for names, members in left:
        for other in [groups[name] for name in names if name in groups]:
            names = names | other[0]
            members = members + [claim for claim in other[1] if claim not in members]
        groups.update(dict.fromkeys(names, (names, members)))
    yield from {id(group): group for group in groups.values()}.values()


def _fixed(group: list[Claim], version: str, order: Order) -> str:
    """The smallest version above that some record calls repaired and none (that names a fix) affected."""
    saying = [claim for claim in group if fixes(claim, version, order)]
    candidates = ascending(order, [text for claim in saying for text in fixes(claim, version, order)])
    for candidate in candidates:
        if not any(holds(claim, candidate, order) for claim in saying):
            return candidate
    return candidates[0] if candidates else ""


def _upgrades(
    claims: list[Claim], fixable: list[Claim], hopeless: list[Claim], version: str, order: Order
) -> set[str]:
    """By brute force: every version named anywhere as a fix, from the smallest, until one is good."""
    if not fixable:
        return {""}
    harmful = [claim for claim in claims if claim.status not in ("not_affected", "under_investigation")]
    free = [claim for claim in harmful if not claim.channel]
    known = ascending(order, [text for claim in free for text in fixes(claim, version, order)])
    without = [claim for claim in hopeless if claim not in fixable]
    every = [claim for claim in harmful if claim not in without]
    for judges in (every, fixable):
        for candidate in known:
            if not any(holds(claim, candidate, order) for claim in judges):
                return {text for text in known if order(text, candidate) == 0}
    return {""}


def _is_cve(name: str) -> bool:
    return re.fullmatch(r"CVE-\d{4}-\d{4,19}", name) is not None


def _number(name: str) -> tuple[int, ...]:
    return tuple(map(int, name.split("-")[1:]))
