"""Import a synthetic StackRox bundle: records a second, and the anonymous memory that it takes at most.

    python bench/stackrox.py [RECORDS]

Every record has what upstream's have: a description of some hundred letters, links, the whole package and
distribution. Names and numbers repeat as they do there: a flaw in many packages and releases.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import msgspec
import zstandard

from support import stackrox

RECORDS = 1_000_000
_DATE = "2025-01-01T00:00:00Z"
REDOUBT = str(Path(sys.executable).with_name("redoubt"))
#: Of a hundred records, how many are of which updater.
_SHARES = {"debian": 20, "ubuntu": 20, "suse": 15, "redhat": 35, "npm": 5, "pypi": 5}
_WORDS = [
    "crafted",
    "input",
    "lets",
    "a",
    "remote",
    "attacker",
    "read",
    "beyond",
    "the",
    "end",
    "of",
    "the",
    "buffer",
    "when",
    "the",
    "parser",
    "is",
]


def run(count: int = RECORDS) -> dict[str, object]:
    """What one import took: ``records``, ``seconds``, ``records_a_second``, ``megabytes`` (anonymous) …"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bundle.zip"
        plain = _write(path, count)
        environment = os.environ | {
            "REDOUBT_DATA_DIR": f"{folder}/data",
            "REDOUBT_CACHE_DIR": f"{folder}/cache",
        }
        definitions = [REDOUBT, "definitions"]
        allow = [*definitions, "trust", "allow-unsigned", "stackrox"]
        subprocess.run(allow, env=environment, check=True, capture_output=True)
        began = time.perf_counter()
        most = _watched([*definitions, "import", str(path), "-q"], environment)
        seconds = time.perf_counter() - began
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "records": count,
            "bundle_megabytes": round(path.stat().st_size / 1e6, 1),
            "json_megabytes": round(plain / 1e6),
            "seconds": round(seconds, 1),
            "cpu_seconds": round(spent.ru_utime + spent.ru_stime, 1),
            "records_a_second": round(count / seconds),
            "megabytes": round(most / 1024),
        }


def _watched(command: list[str], environment: dict[str, str]) -> int:
    """Run a command; the most anonymous memory that it had, in KiB."""
    most = 0
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
                most = max(most, int(status.partition("RssAnon:")[2].split()[0]))
            except (OSError, IndexError):
                pass  # it ended in between
            time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"the import ended with {process.returncode}")
    return most


def _write(path: Path, count: int) -> int:
    """Write the bundle; bytes of JSON in it."""
    plain = 0
    encode = msgspec.json.Encoder().encode
    with (
        zipfile.ZipFile(path, "w") as archive,
        archive.open("all.json.zst", "w", force_zip64=True) as sink,
        zstandard.ZstdCompressor(level=3, threads=2).stream_writer(sink, closefd=False) as out,
    ):
        for line in _lines(count):
            data = encode(line) + b"\n"
            plain += len(data)
            out.write(data)
    return plain


def _lines(count: int) -> Iterator[stackrox.Json]:
    chance = random.Random(1)
    for name, share in _SHARES.items():
        updater = {
            "debian": "debian/updater",
            "ubuntu": "ubuntu/updater/brave",
            "suse": "suse-updater-x",
            "redhat": "rhel-vex",
        }.get(name, f"osv/{name}")
        for number in range(count * share // 100):
            made = _vulnerability(name, updater, number, chance)
            yield from stackrox.operation(
                updater, [made], date=_DATE, ref=f"00000000-0000-0000-0000-{share:012}"
            )


def _vulnerability(name: str, updater: str, number: int, chance: random.Random) -> stackrox.Json:
    flaw = f"CVE-{2000 + number // 8 % 25}-{10_000 + number // 8:05}"
    about = " ".join(itertools.islice(itertools.cycle(_WORDS), number // 8 % 7, 60 + number // 8 % 40))
    version = f"{number % 9}.{chance.randrange(40)}.{chance.randrange(60)}"
    common = {
        "description": about,
        "issued": "2024-01-01T00:00:00Z",
        "links": f"https://example.org/{flaw} https://example.net/bugs/{number // 8}",
        "normalized_severity": ("Low", "Medium", "High")[number // 8 % 3],
    }
    package = f"package-{number % 30_000}"
    match name:
        case "debian":
            fixed = {"distribution": stackrox.release("debian", str(10 + number % 4))}
            return stackrox.vulnerability(
                updater,
                flaw,
                stackrox.package(package, "source"),
                **common | fixed | {"fixed_in_version": f"{version}-{number % 5}+deb1{number % 4}u1"},
            )
        case "ubuntu":
            return stackrox.vulnerability(
                updater,
                f"{flaw} on Ubuntu 22.04 LTS (brave) - medium.",
                stackrox.package(package, "binary"),
                **common,
                distribution=stackrox.release("ubuntu", "22.04"),
                fixed_in_version=f"{version}-{number % 5}ubuntu0.{number % 7}",
            )
        case "suse":
            return stackrox.vulnerability(
                updater,
                flaw,
                stackrox.package(package, "binary", arch="(aarch64|ppc64le|s390x|x86_64)"),
                **common,
                distribution=stackrox.release("sles", "15"),
                fixed_in_version=f"0:{version}-150000.{number % 90}.1",
                arch_op="pattern match",
            )
        case "redhat":
            product = f"cpe:2.3:a:redhat:enterprise_linux:{8 + number % 3}:*:appstream:*:*:*:*:*"
            return stackrox.vulnerability(
                updater,
                flaw,
                stackrox.package(package, "binary", arch="aarch64|amd64|ppc64le|s390x|x86_64"),
                **common | {"severity": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"},
                repository=stackrox.repository(product, key="rhel-cpe-repository"),
                fixed_in_version=f"0:{version}-{number % 90}.el9",
                arch_op="pattern match",
            )
        case "npm":
            extent = {"range": {"[": stackrox.semver("0.0.0"), ")": stackrox.semver(version)}}
        case _:
            extent = {"fixed_in_version": f"fixed={version}"}
    return stackrox.vulnerability(
        updater,
        f"GHSA-{number:012}",
        stackrox.package(package, "binary"),
        **common,
        **extent,
        repository=stackrox.repository(name),
        Aliases=[{"space": "CVE", "name": flaw[4:]}],
    )


if __name__ == "__main__":
    print(json.dumps(run(*(int(word) for word in sys.argv[1:])), indent=1))
