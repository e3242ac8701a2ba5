"""The naive reading of languages' advisories beside ``matcher_oracle``: GitHub's, Ruby's and the smaller of OSV's.

Written from the upstreams' documents and ``docs/sources.md``. Shares nothing with the code under test.
"""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import yaml
from matcher_oracle import Claim, Events

_NAMESPACES = {
    "RubyGems": "rubygems", "npm": "npm", "PyPI": "pypi", "Maven": "maven", "NuGet": "nuget",
    "Packagist": "packagist", "Go": "golang", "crates.io": "crates.io", "Hex": "hex", "Pub": "pub",
    "SwiftURL": "swift", "Julia": "julia", "Bitnami": "bitnami",
}  # fmt: skip


def named(namespace: str, name: str) -> str:
    """A name as its ecosystem says that names are the same."""
    if namespace == "pypi":
        return re.sub("[-_.]+", "-", name).lower()
    if namespace == "swift":
        return re.sub(r"^\w+://|\.git$", "", name.lower())
    return name.lower() if namespace in ("nuget", "packagist", "hex", "pub") else name


def osv(archive: Path, source: str, within: str = "") -> dict[str, dict[str, list[Claim]]]:
    """Namespace → package → claims of OSV's records, whichever ecosystems they are of."""
    found: dict[str, dict[str, list[Claim]]] = {}
    with zipfile.ZipFile(archive) as opened:
        records = [json.loads(opened.read(name)) for name in opened.namelist() if within in name]
    for record in records:
        said: dict[tuple[str, str], tuple[list[Events], set[str]]] = {}
        for entry in record["affected"] if not record.get("withdrawn") else ():
            namespace = _NAMESPACES.get(entry["package"]["ecosystem"])
            if namespace:
                place = namespace, named(namespace, entry["package"]["name"])
                ranges, listed = said.setdefault(place, ([], set()))
                ranges += _ranges(entry)
                listed |= set(entry.get("versions") or ())
        upstream = tuple(name for name in record.get("upstream", ()) if name.startswith("CVE-"))
        for (namespace, name), (ranges, listed) in said.items():
            claim = Claim(
                f"{source}/{record['id']}",
                upstream or (record["id"], *record.get("aliases", ())),
                ranges,
                frozenset(listed),
                notice=bool(upstream),
            )
            found.setdefault(namespace, {}).setdefault(name, []).append(claim)
    return found


def _ranges(entry: dict) -> list[Events]:  # type: ignore[type-arg]
    last = entry.get("database_specific", {}).get("last_known_affected_version_range", "")
    found = []
    for item in entry["ranges"]:
        if item["type"] == "GIT":
            continue
        events = [pair for event in item["events"] for pair in event.items()]
        if len(events) == 1 and last:
            kind = "last_affected" if last.startswith("<=") else "limit"
            events.append((kind, last.lstrip("<= ")))
        found.append(events)
    return found


def ruby(archive: Path) -> dict[str, dict[str, list[Claim]]]:
    """Gem → claims of ruby-advisory-db: affected is what neither list holds, and RubyGems says what they hold."""
    found: dict[str, list[Claim]] = {}
    names_of: dict[str, list[str]] = {}
    with zipfile.ZipFile(archive) as opened:
        for name in sorted(opened.namelist()):
            if "/gems/" not in name or not name.endswith(".yml"):
                continue
            said = yaml.load(opened.read(name), Loader=yaml.BaseLoader)
            if "platform" in said:
                continue
            names = [f"CVE-{said['cve']}"] if said.get("cve") else []
            names += [f"GHSA-{said['ghsa']}"] if said.get("ghsa") else []
            names = names or [name.rpartition("/")[2].removesuffix(".yml")]
            patched = tuple(said.get("patched_versions") or ())
            spared = (*patched, *(said.get("unaffected_versions") or ()))
            # One flaw has a file for each gem, and at times another of GitHub's numbers there.
            names_of.setdefault(names[0], []).extend(names)
            claim = Claim(f"ruby/{names[0]}", (names[0],), [], spared=spared)
            found.setdefault(said["gem"], []).append(claim)
    for claims in found.values():
        claims[:] = [one._replace(flaws=tuple(dict.fromkeys(names_of[one.flaws[0]]))) for one in claims]
    return {"rubygems": found}
