"""StackRox bundles for tests, in upstream's exact shape: the zips, the zstd streams, and every field that Go writes.

The shape is ClairCore's at 0f12d7b and StackRox's exporter at bed4a7b. The content is invented: no flaw, package or
score here exists. ``sample`` has at least one record of every updater.
"""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import zstandard

DATE = "2099-03-01T03:00:00.123456789Z"
CREATED = "2099-03-01T06:00:00+00:00"
ZERO = "0001-01-01T00:00:00Z"
NO_END = "semver:65535.0.0.0.0.0.0.0.0.0"

Json = dict[str, Any]


def package(name: str, kind: str, *, version: str = "", module: str = "", arch: str = "") -> Json:
    """``package`` as Go writes it: empty ``module`` and ``arch`` are left out."""
    made: Json = {"id": "", "name": name, "version": version, "kind": kind, "normalized_version": ""}
    if module:
        made["module"] = module
    if arch:
        made["arch"] = arch
    return made | {"cpe": "", "detector": None}


def release(did: str, version: str, *, name: str = "", codename: str = "") -> Json:
    """``distribution``."""
    return {
        "id": "",
        "did": did,
        "name": name,
        "version": version,
        "version_code_name": codename,
        "version_id": version,
        "arch": "",
        "cpe": "",
        "pretty_name": f"{name} {version}",
    }


def repository(name: str, *, key: str = "", uri: str = "") -> Json:
    """``repository``: only what is set is written, but for the CPE."""
    made = {"name": name, "key": key, "uri": uri}
    return {key: value for key, value in made.items() if value} | {
        "cpe": name if name.startswith("cpe:") else ""
    }


def vulnerability(updater: str, name: str, made: Json, **more: Any) -> Json:
    """``Vuln``. ``made`` is its package; ``more`` replaces any other field."""
    record: Json = {
        "id": "",
        "updater": updater,
        "name": name,
        "description": "",
        "issued": ZERO,
        "links": "",
        "severity": "",
        "normalized_severity": "Unknown",
        "package": made,
        "fixed_in_version": "",
        "Self": {"space": "", "name": ""},
        "Aliases": None,
        "Invert": False,
    }
    return record | more


def semver(text: str) -> str:
    """``1.2.3`` normalised as ClairCore has it."""
    return "semver:0." + ".".join(text.split(".")) + ".0" * 6


def operation(
    updater: str, records: Iterable[Json], *, kind: str = "vulnerability", date: str = DATE, ref: str = ""
) -> list[Json]:
    """The lines of one update operation."""
    ref = ref or str(uuid.uuid5(uuid.NAMESPACE_URL, updater + date))
    field = "Vuln" if kind == "vulnerability" else "Enrichment"
    head = {"Updater": updater, "Fingerprint": f"{updater}-1", "Date": date, "Kind": kind, "Ref": ref}
    return [head | {field: record} for record in records]


def enrichments(updater: str, records: Iterable[tuple[list[str], Json]], **more: Any) -> list[Json]:
    """The lines of one operation of an enricher: tags and JSON."""
    made = ({"Tags": tags, "Enrichment": record} for tags, record in records)
    return operation(updater, made, kind="enrichment", **more)


def stream(lines: Iterable[Json]) -> bytes:
    """Lines as a ``.json.zst``."""
    text = "".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n" for line in lines)
    return zstandard.compress(text.encode())


def zipped(members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip. As Info-ZIP does it, members that are zips are stored."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            how = zipfile.ZIP_STORED if name.endswith(".zip") else compression
            archive.writestr(name, data, compress_type=how)
    return out.getvalue()


def vulnerabilities(groups: Mapping[str, Iterable[Json]]) -> bytes:
    """``vulnerabilities.zip``: name of a group of updaters → lines."""
    return zipped({f"{name}.json.zst": stream(lines) for name, lines in groups.items()})


def manifest(schema: str = "v3", created: str = CREATED) -> bytes:
    """``manifest.json`` of an inner zip."""
    return json.dumps(
        {"version": schema, "created": created, "release_versions": "9.10.0 9.10.1 9.11.0"}
    ).encode()


def inner(groups: Mapping[str, Iterable[Json]], schema: str = "v3", created: str = CREATED) -> bytes:
    """``v4-definitions-SCHEMA.zip``; for 4.4 the form with a single stream."""
    members = {
        "container-name-repos-map.json": json.dumps(
            {"data": {"shop/base": ["shop-1-for-x86_64-rpms"]}}
        ).encode(),
        "manifest.json": manifest(schema, created),
        "repository-to-cpe.json": json.dumps(
            {"data": {"shop-1-for-x86_64-rpms": {"cpes": ["cpe:/o:redhat:enterprise_linux:9::baseos"]}}}
        ).encode(),
    }
    if schema == "4.4":
        members["vulns.json.zst"] = stream(line for lines in groups.values() for line in lines)
    else:
        members["vulnerabilities.zip"] = vulnerabilities(groups)
    return zipped(members)


def outer(inners: Mapping[str, bytes], *, v2: bool = True) -> bytes:
    """What is downloaded and uploaded: schema → inner zip, and Scanner V2's."""
    members = {}
    if v2:
        members["scanner-defs.zip"] = zipped({"manifest.json": b"{}", "nvd/2099.json": b"{}"})
    for schema, data in inners.items():
        prefix = "scanner-v4-defs" if schema[0].isdigit() else "v4-definitions"
        members[f"{prefix}-{schema}.zip"] = data
    return zipped(members)


def write(
    folder: Path, groups: Mapping[str, Iterable[Json]] | None = None, name: str = "", **more: Any
) -> Path:
    """A whole bundle in a file: ``sample`` where no ``groups`` are given."""
    path = folder / (name or "scanner-vulns-9.10.0.zip")
    path.write_bytes(outer({"v3": inner(groups if groups is not None else sample(), **more)}))
    return path


def sample() -> dict[str, list[Json]]:
    """Something of everything, by the name of its group."""
    return {**_distributions(), **_red_hat(), **_ecosystems(), **_scores()}


def _distributions() -> dict[str, list[Json]]:
    deb, alpine = "debian/updater", "alpine-main-v3.77-updater"
    hat = release("debian", "12", name="Debian GNU/Linux", codename="bookworm")
    high = release("alpine", "3.77", name="Alpine Linux")
    dogu = release("ubuntu", "92.04", name="Ubuntu", codename="brave")
    ubuntu = "ubuntu/updater/brave"
    about = "A crafted brush makes the painter draw outside its canvas."
    return {
        "debian": operation(
            deb,
            (
                vulnerability(
                    deb,
                    name,
                    package("painter", "source"),
                    description=about,
                    links=f"https://security-tracker.debian.org/tracker/{name}",
                    severity=urgency,
                    normalized_severity=rated,
                    distribution=hat,
                    fixed_in_version=fixed,
                )
                for name, fixed, urgency, rated in (
                    ("CVE-2099-0001", "1:2.4-3+deb12u1", "medium", "High"),
                    ("CVE-2099-0002", "", "unimportant", "Low"),
                    ("CVE-2099-0003", "0", "not yet assigned", "Unknown"),
                )
            ),
        ),
        "alpine": operation(
            alpine,
            (
                vulnerability(
                    alpine,
                    name,
                    package("painter", "source"),
                    links=f"https://security.alpinelinux.org/vuln/{name}",
                    distribution=high,
                    fixed_in_version=fixed,
                )
                for name, fixed in (
                    ("CVE-2099-0001", "2.4-r1"),
                    ("CVE_2099-0002 GHSA-aaaa-bbbb-cccc (+ regression fix)", "2.4-r2"),
                    ("CVE-2099-0003", "0"),
                    ("CVE-????-?????", "1.0-r0"),
                )
            ),
        ),
        "ubuntu": operation(
            ubuntu,
            (
                vulnerability(
                    ubuntu,
                    f"{cve} on Ubuntu 92.04 LTS (brave) - low.",
                    package(name, "binary"),
                    description=about,
                    issued="2099-02-03T04:05:00Z",
                    links=f"https://ubuntu.com/security/{cve}",
                    normalized_severity="Low",
                    distribution=dogu,
                    fixed_in_version=fixed,
                )
                for cve, name, fixed in (
                    ("CVE-2099-0001", "libpaint7", "1:2.4-3ubuntu0.1"),
                    ("CVE-2099-0002", "libpaint7", ""),
                    ("CVE-2099-0003", "painter-tools", "0"),
                )
            ),
        ),
        **_rpm(),
    }


def _rpm() -> dict[str, list[Json]]:
    aws, oracle, photon = "aws-AL2023-updater", "oracle-2099-updater", "photon-updater-5.0"
    suse, leap = "suse-updater-suse.linux.enterprise.server.15", "suse-updater-opensuse.leap.15.6"
    ol = release("ol", "9", name="Oracle Linux Server", codename="Oracle Linux 9")
    return {
        "aws": operation(
            aws,
            [
                vulnerability(
                    aws,
                    "ALAS2023-2099-001",
                    package("painter", "binary", arch=arch),
                    description="Package updates are available that repair painter.",
                    issued="2099-01-02T03:04:00Z",
                    links="https://alas.example/cve/html/CVE-2099-0001.html https://alas.example/CVE-2099-0002",
                    severity="important",
                    normalized_severity="High",
                    distribution=release("amzn", "2023", name="Amazon Linux"),
                    fixed_in_version="1:2.4-3.amzn2023",
                    arch_op="equals",
                )
                for arch in ("aarch64", "x86_64")
            ],
        ),
        "oracle": operation(
            oracle,
            [
                vulnerability(
                    oracle,
                    "ELSA-2099-12345:  painter security update (IMPORTANT)",
                    package("painter", "binary", module="painter:2.4", arch="aarch64"),
                    issued="2099-01-05T00:00:00Z",
                    links="https://linux.oracle.example/errata/ELSA-2099-12345.html "
                    "https://linux.oracle.example/cve/CVE-2099-0001.html",
                    severity="IMPORTANT",
                    normalized_severity="High",
                    distribution=ol,
                    fixed_in_version="0:2.4-3.el9",
                    arch_op="equals",
                ),
                vulnerability(
                    oracle,
                    "ELSA-2099-12345:  painter security update (IMPORTANT)",
                    package("painter-libs", "binary"),
                    distribution=ol,
                    fixed_in_version="2:2.4-3.ksplice1.el9",
                ),
                vulnerability(
                    oracle,
                    "ELSA-2099-12345:  painter security update (IMPORTANT)",
                    package("painter-never", "binary"),
                    distribution=ol,
                    fixed_in_version="0:0-0",
                ),
            ],
        ),
        "photon": operation(
            photon,
            [
                vulnerability(
                    photon,
                    "PHSA-2099:00001 painter Security Update. (Important)",
                    package("painter", "binary"),
                    issued="2099-01-06T00:00:00Z",
                    links="https://photon.example/CVE-2099-0001",
                    severity="Important",
                    normalized_severity="High",
                    distribution=release("photon", "5.0", name="VMware Photon OS"),
                    fixed_in_version="0:2.4-3.ph5",
                )
            ],
        ),
        "suse": [
            *operation(
                suse,
                [
                    vulnerability(
                        suse,
                        "CVE-2099-0001",
                        package("painter", "binary", arch="(aarch64|ppc64le|s390x|x86_64)"),
                        links="https://www.suse.example/security/cve/CVE-2099-0001",
                        severity="Moderate",
                        normalized_severity="Medium",
                        distribution=release("sles", "15", name="SLES"),
                        fixed_in_version="0:2.4-150000.3.1",
                        arch_op="pattern match",
                    )
                ],
            ),
            *operation(
                leap,
                [
                    vulnerability(
                        leap,
                        "CVE-2099-0002",
                        package("painter", "binary", version="0:2.4-1"),
                        distribution=release("opensuse-leap", "15.6", name="openSUSE Leap"),
                    )
                ],
            ),
        ],
    }


def _red_hat() -> dict[str, list[Json]]:
    base = "cpe:2.3:o:redhat:enterprise_linux:9:*:baseos:*:*:*:*:*"
    app = "cpe:2.3:a:redhat:enterprise_linux:9:*:appstream:*:*:*:*:*"
    vector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"
    rpm, image = "rhel-cpe-repository", "rhcc-container-repository"

    def vex(made: Json, cpe: str, key: str = rpm, **more: Any) -> Json:
        page = "https://access.redhat.com/security/cve/CVE-2099-0001"
        self_link = "https://security.access.redhat.com/data/csaf/v2/vex/2099/cve-2099-0001.json"
        return vulnerability(
            "rhel-vex",
            "CVE-2099-0001",
            made,
            **{
                "description": "A crafted brush makes the painter draw outside its canvas.",
                "issued": "2099-01-07T00:00:00Z",
                "links": f"{page} {self_link}",
                "severity": vector,
                "normalized_severity": "High",
                "repository": {"name": cpe, "key": key, "cpe": cpe},
                "Self": {"space": "https://access.redhat.com/security/cve/", "name": "CVE-2099-0001"},
                "Aliases": [{"space": "CVE", "name": "2099-0001"}, {"space": "RHBZ", "name": "9999999"}],
            }
            | more,
        )

    def erratum(number: int) -> dict[str, str]:
        return {
            "links": f"https://security.example/1.json https://access.redhat.com/errata/RHSA-2099:{number:04}"
        }

    def tags(lower: tuple[int, int], upper: tuple[int, int, int]) -> Json:
        def text(*places: int) -> str:
            return "rhctag:" + ".".join(map(str, (*places, *[0] * (10 - len(places)))))

        return {"range": {"[": text(*lower), ")": text(*upper)}}

    top = 2147483647
    arch = {"arch_op": "pattern match"}
    return {
        "rhel-vex": operation(
            "rhel-vex",
            [
                vex(
                    package("painter", "binary", arch="aarch64|amd64|x86_64"),
                    base,
                    fixed_in_version="0:2.4-3.el9_4",
                    **arch,
                    **erratum(1),
                ),
                vex(
                    package("painter-libs", "binary", module="painter:2.4", arch="noarch"),
                    app,
                    fixed_in_version="1:2.4-3.module+el9",
                    **arch,
                    **erratum(2),
                ),
                vex(package("brush", "source"), base, normalized_severity="Low", severity=""),
                vex(package("canvas", "binary"), app, Invert=True),
                vex(package("painter", "binary"), base, Invert=True),
                vex(package("kernel-headers", "source"), base),
                vex(package("thing", "source"), "cpe:2.3:a:other:thing:1:*:*:*:*:*:*:*"),
                vex(package("pallet", "source"), "cpe:2.3:a:redhat:quay:3:*:*:*:*:*:*:*"),
                vex(
                    package("shop/painter-rhel9", "binary", arch="amd64|x86_64"),
                    "cpe:2.3:a:redhat:shop:4.16:*:el9:*:*:*:*:*",
                    image,
                    fixed_in_version="v4.16.0-20990101",
                    **arch,
                    **erratum(3),
                    **tags((4, 16), (4, 16, top)),
                ),
                vex(
                    package("shop/brush-rhel9", "source"),
                    "cpe:2.3:a:redhat:shop:4.16:*:el9:*:*:*:*:*",
                    image,
                    **tags((0, 0), (top, 0, 0)),
                ),
            ],
        )
    }


def _ecosystems() -> dict[str, list[Json]]:
    def osv(ecosystem: str, records: Iterable[tuple[str, str, Json]]) -> list[Json]:
        updater = f"osv/{ecosystem}"
        made = (
            vulnerability(
                updater,
                name,
                package(painted, "binary"),
                repository=repository(ecosystem, uri="https://registry.example/"),
                description="Paint leaks.",
                issued="2099-02-01T00:00:00Z",
                **more,
            )
            for name, painted, more in records
        )
        return operation(updater, made)

    vector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
    named = {
        "Self": {"space": "GHSA", "name": "aaaa-bbbb-cccc"},
        "Aliases": [{"space": "CVE", "name": "2099-0010"}],
    }
    nothing = {"[": "", ")": ""}
    return {
        "osv": [
            *osv(
                "go",
                [
                    (
                        "GO-2099-0001",
                        "example.org/paint",
                        {
                            "range": {"[": semver("1.2.0"), ")": semver("1.4.0")},
                            "fixed_in_version": "1.4.0-rc.1",
                            "Aliases": named["Aliases"],
                            "severity": "HIGH",
                            "normalized_severity": "High",
                        },
                    ),
                    ("GO-2099-0002", "stdlib", {"range": {"[": semver("0.0.0"), ")": NO_END}}),
                ],
            ),
            *osv(
                "npm",
                [
                    (
                        "GHSA-aaaa-bbbb-cccc",
                        "@shop/paint",
                        {
                            "range": {"[": semver("0.0.0"), ")": semver("2.3.5")},
                            "severity": vector,
                            "normalized_severity": "Critical",
                            "links": "https://shop.example/1 https://osv.dev/vulnerability/CVE-2099-0010",
                        }
                        | named,
                    ),
                    ("MAL-2099-1", "paint-stealer", {"range": {"[": semver("0.0.0"), ")": NO_END}}),
                ],
            ),
            *osv(
                "maven",
                [
                    (
                        "GHSA-aaaa-bbbb-cccc",
                        "org.example:paint",
                        {"fixed_in_version": "fixed=2.0.RELEASE&introduced=1.0"} | named,
                    )
                ],
            ),
            *osv(
                "pypi",
                [
                    (
                        "PYSEC-2099-1",
                        "Shop.Paint",
                        {
                            "fixed_in_version": "lastAffected=1.4",
                            "links": "https://osv.dev/vulnerability/CVE-2099-0011",
                        },
                    ),
                    ("PYSEC-2099-2", "paint", {"fixed_in_version": ""}),
                ],
            ),
            *osv("rubygems", [("GHSA-dddd-eeee-ffff", "paint", {"fixed_in_version": "fixed=1.2.3"})]),
            *osv(
                "crates.io",
                [
                    (
                        "RUSTSEC-2099-0001",
                        "pkg:cargo/paint",
                        {"range": {"[": semver("0.0.0"), ")": semver("0.3.0")}, "fixed_in_version": "0.3.0"},
                    )
                ],
            ),
            *osv(
                "packagist",
                [
                    (
                        "GHSA-gggg-hhhh-jjjj",
                        "pkg:composer/shop/paint",
                        {"range": nothing, "fixed_in_version": "3.1"},
                    )
                ],
            ),
        ],
        "manual": operation(
            "stackrox-manual",
            [
                vulnerability(
                    "stackrox-manual",
                    "CVE-2099-0020",
                    package("paint-core", "binary"),
                    description="Paint runs.",
                    issued="2099-02-02T00:00:00Z",
                    links="https://nvd.nist.gov/vuln/detail/CVE-2099-0020",
                    severity=vector,
                    normalized_severity="Critical",
                    repository=repository("maven", uri="https://repo1.maven.apache.org/maven2"),
                    fixed_in_version="introduced=0&fixed=3.1.7",
                )
            ],
        ),
    }


def _scores() -> dict[str, list[Json]]:
    vector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"
    data = {
        "cvssData": {"version": "3.1", "vectorString": vector, "baseScore": 7.5},
        "source": "",
        "type": "",
    }
    cvss2 = {"score": 0, "vector": ""}
    return {
        "epss": enrichments(
            "clair.epss",
            [
                (
                    ["CVE-2099-0001"],
                    {
                        "modelVersion": "v2099.03.14",
                        "date": "2099-02-28T12:55:00Z",
                        "cve": "CVE-2099-0001",
                        "epss": 0.97321,
                        "percentile": 0.99876,
                    },
                )
            ],
        ),
        "cisa-kev": enrichments(
            "clair.kev",
            [
                (
                    ["CVE-2099-0001"],
                    {
                        "cve": "CVE-2099-0001",
                        "vulnerability_name": "Painter",
                        "catalog_version": "2099.02.27",
                        "date_added": "2099-02-27",
                        "short_description": "Paint.",
                        "required_action": "Wipe.",
                        "due_date": "2099-03-20",
                        "known_ransomware_campaign_use": "Known",
                    },
                )
            ],
        ),
        "nvd": enrichments(
            "nvd",
            [
                (
                    ["CVE-2099-0001"],
                    {
                        "id": "CVE-2099-0001",
                        "descriptions": [{"lang": "en", "value": "Paint."}],
                        "metrics": {"cvssMetricV31": [data]},
                        "published": "2099-01-01T01:02:03.004",
                        "lastModified": "2099-02-20T01:02:03.004",
                        "references": None,
                    },
                ),
                (
                    ["CVE-2099-0002"],
                    {"id": "CVE-2099-0002", "metrics": {}, "lastModified": "2099-02-19T01:02:03.004"},
                ),
            ],
        ),
        "stackrox-rhel-csaf": enrichments(
            "stackrox.rhel-csaf",
            [
                (
                    ["RHSA-2099:0001"],
                    {
                        "name": "RHSA-2099:0001",
                        "description": "Important: painter security update",
                        "release_date": "2099-02-15T00:00:00Z",
                        "severity": "Important",
                        "cvssv3": {"score": 7.5, "vector": vector},
                        "cvssv2": cvss2,
                    },
                )
            ],
        ),
    }
