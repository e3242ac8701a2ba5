"""The naive reading of the smaller distributions' data beside ``matcher_oracle``: small files, read whole.

Written from the upstreams' documents and ``docs/sources.md``. Shares nothing with the code under test. What an
architecture or repository is said of becomes part of the claim; whatever is not affected is a claim of its own.
"""

from __future__ import annotations

import json
import re
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import zstandard
from matcher_oracle import Claim, Events

Found = dict[str, dict[str, list[Claim]]]

_EVERYTHING: Events = [("introduced", "0")]


def _add(found: Found, namespace: str, name: str, claim: Claim) -> None:
    found.setdefault(namespace, {}).setdefault(name, []).append(claim)


def _below(version: str) -> list[Events]:
    return [[("introduced", "0"), ("fixed", version)]]


def _evr(epoch: object, version: str) -> str:
    return f"{epoch}:{version}" if epoch and str(epoch) != "0" else version


def _updates(folder: Path) -> Iterator[tuple[Path, ET.Element]]:
    for file in sorted(folder.rglob("*updateinfo.xml")):
        for update in ET.parse(file).getroot():
            yield file.relative_to(folder), update


def _flaws(update: ET.Element) -> tuple[str, ...]:
    named = [item.get("id", "") for item in update.iter("reference")]
    return tuple(sorted({name for name in named if re.fullmatch(r"CVE-\d{4}-\d{4,}", name)}))


def _builds(update: ET.Element) -> Iterator[tuple[str, str, str, str]]:
    """Name, architecture, module, version of each build."""
    for collection in update.iter("collection"):
        module = collection.find("module")
        stream = f"{module.get('name')}:{module.get('stream')}" if module is not None else ""
        for build in collection.iter("package"):
            if build.get("arch") != "src":
                version = _evr(build.get("epoch"), f"{build.get('version')}-{build.get('release')}")
                yield build.get("name", ""), build.get("arch", ""), stream, version


def _errata(found: Found, source: str, namespace: str, update: ET.Element, **more: frozenset[str]) -> None:
    identifier, cves = update.findtext("id") or "", _flaws(update)
    others = [item.get("id", "") for item in update.iter("reference") if item.get("type") == "ghsa"]
    for name, arch, stream, version in _builds(update):
        # Those of Rocky's builds whose collection names no module may still be of one.
        module = (stream or ("*" if ".module+" in version else "-")) if source == "rocky" else ""
        claim = Claim(
            f"{source}/{identifier}",
            cves or (identifier, *others),
            _below(version),
            notice=bool(cves),
            module=module,
            arches=frozenset({arch}),
            **more,
        )
        _add(found, namespace, name, claim)


def amazon(data: Path) -> Found:
    """Errata of Amazon Linux. Of Amazon Linux 2 each repository is for its own packages."""
    found: Found = {}
    updates = [one for one in _updates(data / "amazon") if one[1].get("type") == "security" or _flaws(one[1])]
    core = {
        item.get("name")
        for place, update in _updates(data / "amazon")
        if place.parts[:2] == ("2", "core")
        for item in update.iter("package")
    }
    for place, update in updates:
        release, repository = place.parts[0], place.parts[1]
        if release != "2":
            _errata(found, "amazon", f"amazon:{release}", update)
            continue
        own = "amzn2-core" if repository == "core" else f"amzn2extra-{place.parts[2]}"
        said: Found = {}
        _errata(said, "amazon", "amazon:2", update)
        for name, claims in said["amazon:2"].items():
            silent = {""} if repository == "core" or name not in core else set()
            for claim in claims:
                _add(found, "amazon:2", name, claim._replace(repositories=frozenset({own, *silent})))
    return found


def rocky(data: Path) -> Found:
    """Errata of Rocky Linux, by major release."""
    found: Found = {}
    for place, update in _updates(data / "rocky"):
        if _flaws(update) or (update.findtext("id") or "").startswith("RLSA-"):
            _errata(found, "rocky", f"rocky:{place.parts[0].partition('.')[0]}", update)
    return found


def bottlerocket(data: Path) -> Found:
    """Bottlerocket's advisories."""
    found: Found = {}
    for _, update in _updates(data / "bottlerocket"):
        _errata(found, "bottlerocket", "bottlerocket", update)
    return found


def arch(data: Path) -> Found:
    """Arch's groups of flaws."""
    found: Found = {}
    statuses = {"Not affected": "not_affected", "Unknown": "under_investigation"}
    for group in json.loads((data / "arch/all.json").read_text()):
        for name in group["packages"]:
            claim = Claim(
                f"arch/{group['name']}",
                tuple(sorted(group["issues"])) or (group["name"],),
                _below(group["fixed"]) if group["fixed"] else [_EVERYTHING],
                notice=bool(group["issues"]),
                status=statuses.get(group["status"], "affected"),
                channel="testing" if group["status"] == "Testing" else "",
            )
            _add(found, "arch", name, claim)
    return found


def photon(data: Path) -> Found:
    """Photon's lists: what is said to be fixed outweighs what is said not to be affected."""
    found: Found = {}
    for file in sorted((data / "photon").glob("cve_data_photon*.json")):
        namespace = f"photon:{file.stem.removeprefix('cve_data_photon')}"
        said: dict[tuple[str, str], list[Claim]] = {}
        for entry in json.loads(file.read_text()):
            flaw, name = entry["cve_id"], entry["pkg"]
            before = re.match(r"all versions before (\S+)", entry["aff_ver"])
            if not name or not re.match(r"CVE-|BDSA-", flaw):
                continue
            claim = Claim(f"photon/{flaw}", (flaw,), [])
            if entry["res_ver"] != "NA":
                claim = claim._replace(ranges=_below(entry["res_ver"]))
            elif entry.get("status") == "Not Affected":
                claim = claim._replace(ranges=[_EVERYTHING], status="not_affected")
            elif before:
                claim = claim._replace(ranges=[[*_EVERYTHING, ("limit", before[1])]])
            elif "all versions are vulnerable" in entry["aff_ver"]:
                claim = claim._replace(ranges=[_EVERYTHING])
            else:
                continue
            said.setdefault((name, flaw), []).append(claim)
        for (name, _), claims in said.items():
            affected = [claim for claim in claims if claim.status == "affected"]
            for claim in affected or claims:
                _add(found, namespace, name, claim)
    return found


def fedora(data: Path) -> Found:
    """Bodhi's updates. CVEs stand in the titles of bugs, else in the notes."""
    found: Found = {}
    cve = re.compile(r"CVE-\d{4}-\d{4,}")
    for file in sorted((data / "fedora").rglob("*.json")):
        for update in json.loads(file.read_text())["updates"]:
            wanted = (update["type"], update["status"], update["release"]["id_prefix"])
            if wanted != ("security", "stable", "FEDORA"):
                continue
            titles = " ".join(bug["title"] for bug in update["bugs"] or ())
            cves = tuple(sorted(set(cve.findall(titles) or cve.findall(update.get("notes") or ""))))
            for build in update["builds"]:
                if build["type"] == "rpm":
                    name, version, release = build["nvr"].rsplit("-", 2)
                    claim = Claim(
                        f"fedora/{update['alias']}",
                        cves or (update["alias"],),
                        _below(_evr(build["epoch"], f"{version}-{release}")),
                        notice=bool(cves),
                    )
                    _add(found, f"fedora:{update['release']['version']}", name, claim)
    return found


def ubuntu(data: Path) -> Found:
    """Ubuntu's OSV records with what VEX says of their open flaws; notices of the same fixes beside them."""
    with tarfile.open(data / "ubuntu/vex-all.tar.xz") as archive:
        statements = [one for text in _members(archive) for one in json.loads(text)["statements"]]
    with tarfile.open(data / "ubuntu/osv-all.tar.xz") as archive:
        records = [json.loads(text) for text in _members(archive)]
    words = {"decided to not fix it": "will_not_fix", "is no longer supported": "end_of_life"}
    states: dict[tuple[str, str], str] = {}
    for statement in statements:
        status = {"under_investigation": "under_investigation"}.get(statement["status"], "")
        for text, word in words.items():
            status = word if text in statement.get("action_statement", "") else status
        for product in statement["products"]:
            purl = re.sub(r"@[^?]*", "", product["@id"])
            states[statement["vulnerability"]["name"], purl] = status or "affected"
    found: Found = {}
    for record in records:
        if record.get("withdrawn") or record["id"].startswith("USN-"):
            continue
        (flaw,) = record["upstream"]
        said: dict[tuple[str, str], dict[bool, Claim]] = {}
        for entry in record["affected"]:
            release = re.fullmatch(r"Ubuntu:(Pro:)?(\d\d\.\d\d)(:LTS)?", entry["package"]["ecosystem"])
            if release:
                events = [pair for event in entry["ranges"][0]["events"] for pair in event.items()]
                ends = any(kind == "fixed" for kind, _ in events)
                status = states.get((flaw, re.sub(r"@[^?]*", "", entry["package"]["purl"])), "affected")
                claim = Claim(f"ubuntu/{flaw}", (flaw,), [events], status="affected" if ends else status)
                words_of = str(entry.get("ecosystem_specific", {}).get("availability", ""))
                if release[1] and ends and not words_of.startswith("No subscription"):
                    claim = claim._replace(channel="esm")
                key = (f"ubuntu:{release[2]}", entry["package"]["name"])
                said.setdefault(key, {})[bool(release[1])] = claim
        for (namespace, name), claims in said.items():
            fixed = [claims[pro] for pro in (False, True) if pro in claims and len(claims[pro].ranges[0]) > 1]
            _add(found, namespace, name, (fixed or [claims[pro] for pro in sorted(claims)])[0])
            if len(fixed) > 1 and fixed[1].channel and fixed[1].ranges != fixed[0].ranges:
                _add(found, namespace, name, fixed[1])  # lower, in the fixtures
    for record in records:
        if not record["id"].startswith("USN-") or record.get("withdrawn"):
            continue
        cves = {name.removeprefix("UBUNTU-") for name in record["upstream"]}
        every = {
            end["fixed"]
            for entry in record["affected"]
            for end in entry["ranges"][0]["events"]
            if "fixed" in end
        }
        for entry in record["affected"]:
            release = re.fullmatch(r"Ubuntu:(Pro:)?(\d\d\.\d\d)(:LTS)?", entry["package"]["ecosystem"])
            fixes = [event["fixed"] for event in entry["ranges"][0]["events"] if "fixed" in event]
            if release and fixes:
                name, namespace = entry["package"]["name"], f"ubuntu:{release[2]}"
                same = [
                    one for one in found.get(namespace, {}).get(name, ()) if one.ranges == _below(fixes[0])
                ]
                flaws = {one.flaws[0] for one in same} & cves
                known = {
                    one.flaws[0]
                    for packages in found.values()
                    for claims in packages.values()
                    for one in claims
                    if one.flaws[0] in cves and any(end in every for _, end in one.ranges[0])
                }
                if flaws and known <= flaws:
                    claim = Claim(
                        f"ubuntu/{record['id']}",
                        tuple(sorted(flaws)),
                        _below(fixes[0]),
                        notice=True,
                        channel=same[0].channel,
                    )
                    _add(found, namespace, name, claim)
    return found


def _members(archive: tarfile.TarFile) -> Iterator[bytes]:
    for member in archive.getmembers():
        if member.name.endswith(".json") and (file := archive.extractfile(member)):
            yield file.read()


_PRODUCTS = {
    "rhel-9-for-x86_64-baseos-rpms": "cpe:/o:redhat:enterprise_linux:9::baseos",
    "rhel-9-for-x86_64-baseos-eus-rpms__9_DOT_2": "cpe:/o:redhat:rhel_eus:9.2::baseos",
}


def redhat(data: Path) -> Found:
    """Red Hat's documents, for the main stream's packages outside modules: those that say nothing are of it too.

    Repositories here are the products' short names: empty is the main stream.
    """
    documents: dict[str, dict] = {}  # type: ignore[type-arg]
    texts = [file.read_bytes() for file in sorted((data / "redhat/updates").glob("*.json"))]
    packed = zstandard.ZstdDecompressor().stream_reader((data / "redhat/csaf_vex.tar.zst").open("rb"))
    with tarfile.open(fileobj=packed, mode="r|") as archive:
        texts += [
            file.read() for member in archive if member.isfile() and (file := archive.extractfile(member))
        ]
    for text in texts:
        try:
            document = json.loads(text)
            tracking = document["document"]["tracking"]
            day, known = tracking["current_release_date"], documents.get(tracking["id"])
        except (ValueError, KeyError, TypeError):
            continue
        if known is None or known["document"]["tracking"]["current_release_date"] < day:
            documents[tracking["id"]] = document
    gone = dict(
        re.findall(r'"\d+/(cve-[\d-]+)\.json","([^"]+)"', (data / "redhat/deletions.csv").read_text())
    )
    found: Found = {}
    for flaw, document in documents.items():
        tracking = document["document"]["tracking"]
        if tracking["status"] != "final" or gone.get(flaw.lower(), "") > tracking["current_release_date"]:
            continue
        for namespace, name, claim in _vex(flaw, document):
            _add(found, namespace, name, claim)
    return found


def _vex(flaw: str, document: dict) -> Iterator[tuple[str, str, Claim]]:  # type: ignore[type-arg]
    products: dict[str, dict] = {}  # type: ignore[type-arg]
    branches = list(document["product_tree"].get("branches", ()))
    while branches:
        branch = branches.pop()
        branches += branch.get("branches", ())
        if "product" in branch:
            products[branch["product"]["product_id"]] = branch["product"]["product_identification_helper"]
    placed = {
        item["full_product_name"]["product_id"]: (
            item["product_reference"],
            item["relates_to_product_reference"],
        )
        for item in document["product_tree"].get("relationships", ())
    }
    (vulnerability,) = document["vulnerabilities"]
    harmless = {
        product
        for score in vulnerability.get("scores", ())
        if score.get("cvss_v3", {}).get("baseScore") == 0
        for product in score["products"]
    }
    said: dict[tuple[str, str], list[Claim]] = {}
    for word, ids in vulnerability["product_status"].items():
        for product in ids:
            package, within = placed[product]
            purl = re.fullmatch(r"pkg:rpm/redhat/([^@?]+)@?([^?]*)\??(.*)", products[package].get("purl", ""))
            stream = re.fullmatch(
                r"cpe:/o:redhat:enterprise_linux:(\d+)\S*", products.get(within, {}).get("cpe", "")
            )
            if not purl or not stream or "rpmmod" in purl[3] or "arch=src" in purl[3]:
                continue
            if purl[1].startswith("kernel") and "headers" in purl[1]:
                continue
            if (word == "known_not_affected" and purl[2]) or product in harmless:
                continue
            epoch = re.search(r"epoch=(\d+)", purl[3])
            arch = re.search(r"arch=(\w+)", purl[3])
            claim = Claim(f"redhat/{flaw}", (flaw,), [_EVERYTHING], module="-")
            if word == "fixed":
                version = _evr(epoch and epoch[1], purl[2])
                claim = claim._replace(
                    ranges=_below(version), arches=frozenset({arch[1] if arch else "noarch"})
                )
            elif word == "known_affected":
                details = [
                    one["details"]
                    for one in vulnerability.get("remediations", ())
                    if product in one["product_ids"]
                ]
                states = {"Out of support scope": "end_of_life", "Will not fix": "will_not_fix"}
                states |= {"Fix deferred": "fix_deferred"}
                claim = claim._replace(
                    status=next((states[one] for one in details if one in states), "affected")
                )
            else:
                claim = claim._replace(status={"known_not_affected": "not_affected"}.get(word, word))
            said.setdefault((f"redhat:{stream[1]}", purl[1]), []).append(claim)
    for (namespace, name), claims in said.items():
        affecting = [claim for claim in claims if claim.status != "not_affected"]
        for claim in affecting or claims:
            yield namespace, name, claim
