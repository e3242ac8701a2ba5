"""Imports that die, meet a full or read-only disk, or run at once: old or new definitions, never neither."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from redoubt.definitions import records
from redoubt.definitions.library import Library
from redoubt.model import Epss
from support import stackrox
from support.definitions_bundles import NOW, Site, delta_bundle, sample_records

ROOT = Path(__file__).parents[3]
KILLER = ROOT / "tests" / "support" / "definitions_killing.py"


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT / "tests")))}


def contents(version):
    """Records of more than one batch."""
    scores = [
        records.epss(f"CVE-2026-{n:06}", Epss(n / 100_000, 0.5, f"2026-11-{version:02}"))
        for n in range(22_000)
    ]
    return sample_records(str(version), extra=scores)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Bundles 1 to 3, the delta from 1 to 2, and a shelf with version 1 active."""
    site = Site(tmp_path_factory.mktemp("site"))
    for version in (1, 2, 3):
        site.bundle(version, contents(version))
    delta_bundle(site, 1, 2, contents=contents)
    library = Library(site.folder / "data")
    library.trust.add(site.root, "site", now=NOW)
    library.import_bundle(site.folder / "site-1.zip", now=NOW)
    return site


@pytest.fixture(scope="module")
def unsigned(tmp_path_factory):
    """Two StackRox bundles, the second a day younger, and a shelf with the first active."""
    folder = tmp_path_factory.mktemp("unsigned")
    for day in (1, 2):
        groups = stackrox.sample() | {
            "epss": stackrox.enrichments(
                "clair.epss",
                [
                    (
                        [name],
                        {"date": f"2020-01-{day:02}T00:00:00Z", "cve": name, "epss": 0.5, "percentile": 0.5},
                    )
                    for name in (f"CVE-2099-{n:06}" for n in range(22_000))
                ],
            )
        }
        stackrox.write(folder, groups, f"{day}.zip", created=f"2020-01-{day:02}T00:00:00+00:00")
    library = Library(folder / "data")
    library.trust.allow_unsigned("stackrox")
    library.import_bundle(folder / "1.zip")
    return folder


def killed(site, tmp_path, mode, bundle="site-2.zip"):
    return killed_in(site.folder, tmp_path, mode, bundle)


def killed_in(folder, tmp_path, mode, bundle):
    command = [sys.executable, str(KILLER), mode, folder / "data", folder / bundle, tmp_path / "work"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("bundle", ["site-2.zip", "site-1-2.zip"])
@pytest.mark.parametrize(("mode", "least"), [("steps", 7), ("calls", 20)])
def test_import_killed_anywhere_leaves_the_old_or_the_new(site, tmp_path, mode, least, bundle):
    attempts = killed(site, tmp_path, mode, bundle)
    assert len(attempts) > least
    assert [attempt["ended"] for attempt in attempts] == ["killed"] * (len(attempts) - 1) + ["done"]
    seen = [attempt["after"]["version"] for attempt in attempts]
    assert set(seen) == {1, 2}
    assert seen == sorted(seen), "once the new one is active it stays so"
    for attempt in attempts:
        assert attempt["again"] == "done"
        assert attempt["finally"]["version"] == 2
        assert attempt["finally"]["listed"] == attempt["finally"]["present"]
        assert attempt["finally"]["leftovers"] == []


@pytest.mark.parametrize("bundle", ["site-2.zip", "site-1-2.zip"])
def test_full_disk_is_one_line_and_leaves_the_old(site, tmp_path, bundle):
    attempts = killed(site, tmp_path, "limits", bundle)
    assert len(attempts) > 4
    for attempt in attempts[:-1]:
        assert attempt["ended"].startswith("AccessDenied: cannot write")
        assert "\n" not in attempt["ended"]
        assert attempt["after"]["version"] == 1
        assert attempt["after"]["leftovers"] == []
        assert attempt["again"] == "done"
        assert attempt["finally"]["version"] == 2


@pytest.mark.parametrize(("mode", "least"), [("steps", 7), ("calls", 25)])
def test_unsigned_import_killed_anywhere_leaves_the_old_or_the_new(unsigned, tmp_path, mode, least):
    attempts = killed_in(unsigned, tmp_path, mode, "2.zip")
    assert len(attempts) > least
    assert [attempt["ended"] for attempt in attempts] == ["killed"] * (len(attempts) - 1) + ["done"]
    seen = [attempt["after"]["version"] for attempt in attempts]
    assert set(seen) == {20200101000000, 20200102000000}
    assert seen == sorted(seen)
    for attempt in attempts:
        assert attempt["again"] == "done"
        assert attempt["finally"]["version"] == 20200102000000
        assert attempt["finally"]["listed"] == attempt["finally"]["present"]
        assert attempt["finally"]["leftovers"] == []


def test_full_disk_stops_an_unsigned_import_in_one_line(unsigned, tmp_path):
    attempts = killed_in(unsigned, tmp_path, "limits", "2.zip")
    assert len(attempts) > 4
    for attempt in attempts[:-1]:
        assert attempt["ended"].startswith("AccessDenied: cannot write")
        assert "\n" not in attempt["ended"]
        assert attempt["after"]["version"] == 20200101000000
        assert attempt["after"]["leftovers"] == []
        assert attempt["again"] == "done"


def test_imports_at_once_end_with_the_newest_active(site, tmp_path):
    data = tmp_path / "data"
    Library(data).trust.add(site.root, "site", now=NOW)
    code = (
        "import sys; from pathlib import Path; from redoubt.definitions.library import Library\n"
        "from redoubt.errors import DefinitionsRefused\n"
        "try: print('active' if Library(Path(sys.argv[1])).import_bundle(Path(sys.argv[2])) else '')\n"
        "except DefinitionsRefused as error: print(error)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, data, site.folder / f"site-{version}.zip"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for version in (3, 2, 3, 1)
    ]
    for process, version in zip(processes, (3, 2, 3, 1), strict=True):
        said, errors = process.communicate(timeout=120)
        assert errors == ""
        assert said == "active\n" or (version < 3 and "older than version" in said)
    library = Library(data)
    with library.open_active() as definitions:
        assert definitions.info.version == 3
    for item in library.list():
        library.verify(item.entry.digest)


def test_readers_meet_no_gap_while_imports_prune(site, tmp_path):
    data = tmp_path / "data"
    library = Library(data, keep=1)
    library.trust.add(site.root, "site", now=NOW)
    library.import_bundle(site.folder / "site-1.zip", now=NOW)
    code = (
        "import sys; from pathlib import Path; from redoubt.definitions.library import Library\n"
        "library = Library(Path(sys.argv[1])); seen = set(); print('ready', flush=True)\n"
        "while True:\n"
        "    with library.open_active() as definitions:\n"
        "        assert len(definitions.affected('debian:12', 'openssl')) == 2\n"
        "        seen.add(definitions.info.version)\n"
        "    if definitions.info.version == 3: break\n"
        "print(sorted(seen))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, data],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as reader:
        assert reader.stdout.readline() == "ready\n"
        for _ in range(4):
            library.import_bundle(site.folder / "site-2.zip", now=NOW, allow_older=True)
            library.import_bundle(site.folder / "site-1.zip", now=NOW, allow_older=True)
        library.import_bundle(site.folder / "site-3.zip", now=NOW)
        said, errors = reader.communicate(timeout=120)
    assert errors == ""
    assert said.rstrip().endswith("3]")


def test_shelf_that_may_only_be_read_is_read_and_says_so_when_written(site):
    code = (
        "import os, sys; from pathlib import Path; from redoubt.definitions.library import Library\n"
        "from redoubt.errors import AccessDenied\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "library = Library(Path(sys.argv[1]))\n"
        "with library.open_active() as definitions: print(definitions.info.version)\n"
        "for write in (lambda: library.import_bundle(Path(sys.argv[2])), library.prune, library.rollback):\n"
        "    try: write()\n"
        "    except AccessDenied as error: print(error)"
    )
    with tempfile.TemporaryDirectory() as folder:
        data, bundle = Path(folder) / "data", Path(folder) / "site-2.zip"
        bundle.write_bytes((site.folder / "site-2.zip").read_bytes())
        library = Library(data)
        library.trust.add(site.root, "site", now=NOW)
        library.import_bundle(site.folder / "site-1.zip", now=NOW)
        before = sorted(str(path) for path in data.rglob("*"))
        places = [Path(folder), data, *(path for path in data.rglob("*") if path.is_dir())]
        try:
            for place in places:
                place.chmod(0o555)
            (data / "definitions" / "lock").chmod(0o444)
            done = subprocess.run(
                [sys.executable, "-c", code, data, bundle],
                capture_output=True,
                text=True,
                env=environment(),
                check=False,
            )
        finally:
            for place in places:
                place.chmod(0o755)
        assert sorted(str(path) for path in data.rglob("*")) == before
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "1"
    assert len(lines) == 4
    assert all(line.startswith("cannot write to") and "Permission denied" in line for line in lines[1:])
