"""Definitions through the gap, as both sides type it: keys, trust, building, importing, refusing, going back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.cli import Cli
from support.feeds import FIXTURES


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A mirror folder with two small sources."""
    folder = tmp_path / "mirror"
    for source in ("kev", "alpine"):
        shutil.copytree(FIXTURES / source, folder / source)
    return folder


@pytest.fixture
def keys(empty: Cli, tmp_path: Path) -> Path:
    empty("definitions", "keygen", "--out", tmp_path / "keys")
    return tmp_path / "keys"


def active(cli: Cli) -> str:
    """The digest of the active definitions."""
    return next(str(item["digest"]) for item in cli.json("definitions", "list") if item["active"])


def test_definitions_go_through_the_gap_forward_and_back(
    empty: Cli, mirror: Path, keys: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "1.zip", tmp_path / "2.zip"
    build = ("definitions", "build", "--mirror", mirror, "--key", keys)
    empty(*build, "--version", "1", "--out", first)
    empty(*build, "--version", "2", "--sources", "alpine", "--out", second)

    refused = empty("definitions", "import", first, code=4)
    assert "trust add" in refused.stderr
    empty("definitions", "trust", "add", keys / "root.json", "--channel", "main")
    empty("definitions", "import", first)
    one = active(empty)
    empty("definitions", "import", second)
    two = active(empty)
    assert one != two

    older = empty("definitions", "import", first, code=4)
    assert "--allow-older" in older.stderr
    assert active(empty) == two
    empty("definitions", "rollback")
    assert active(empty) == one
    empty("definitions", "rollback", "--to", two[:15])
    assert active(empty) == two
    assert two in empty("definitions", "verify").stdout
    empty("definitions", "prune", "--keep", "1")
    assert [item["digest"] for item in empty.json("definitions", "list")] == [two]
    assert "roll back" in empty("definitions", "rollback", code=4).stderr

    empty("definitions", "trust", "remove", "main")
    empty("definitions", "import", first, "--allow-older", code=4)
    assert active(empty) == two


def test_the_same_mirror_gives_the_same_digest(empty: Cli, mirror: Path, keys: Path, tmp_path: Path) -> None:
    said = [
        empty("definitions", "build", "--mirror", mirror, "--key", keys, "--out", tmp_path / name).stderr
        for name in ("a.zip", "b.zip")
    ]
    digests = {text.split()[-1] for text in said}
    assert len(digests) == 1
    assert digests.pop().startswith("sha256:")


def test_a_changed_bundle_is_refused_and_what_was_active_stays(
    empty: Cli, mirror: Path, keys: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "today.zip"
    empty("definitions", "build", "--mirror", mirror, "--key", keys, "--out", bundle)
    empty("definitions", "trust", "add", keys / "root.json", "--channel", "main")
    empty("definitions", "import", "--starter")
    before = active(empty)
    whole = bytearray(bundle.read_bytes())
    whole[whole.index(b"\x28\xb5\x2f\xfd") + 20] ^= 1  # within the compressed stream
    bundle.write_bytes(whole)
    for _ in range(2):
        empty("definitions", "import", bundle, code=4)
        assert active(empty) == before
        bundle.write_bytes(whole[:-100])


def test_a_source_that_cannot_be_read_is_named_and_the_others_are_built(
    empty: Cli, mirror: Path, keys: Path, tmp_path: Path
) -> None:
    catalogue = mirror / "kev" / "known_exploited_vulnerabilities.json"
    catalogue.write_bytes(catalogue.read_bytes()[:100])
    words = ("definitions", "build", "-q", "--mirror", mirror, "--key", keys, "--out", tmp_path / "b.zip")
    assert "warning: kev is not in the bundle" in empty(*words).stderr
    shutil.rmtree(mirror / "alpine")
    assert "warning: alpine is stale" in empty(*words).stderr
    shutil.rmtree(empty.home / "cache")  # else what was kept of the other is used, and called stale
    assert "no source could be read: kev" in empty(*words, code=4).stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("keygen", "--out", "keys"), 2),
        (("build", "--mirror", "mirror", "--key", "keys", "--out", "x.zip", "--sources", "nope"), 2),
        (("build", "--mirror", "mirror", "--key", "keys/root.pem", "--out", "x.zip"), 2),
        (("build", "--mirror", "mirror", "--key", "keys/root.json", "--out", "x.zip"), 3),
        (("build", "--mirror", "mirror", "--key", "mirror", "--out", "x.zip"), 3),
        (("build", "--mirror", "mirror", "--key", "keys", "--out", "x.zip", "--channel", "starter"), 2),
        (("build", "--mirror", "keys", "--key", "keys", "--out", "x.zip"), 3),
        (("build", "--key", "keys", "--out", "x.zip"), 2),
        (("build", "--mirror", "mirror", "--key", "keys", "--out", "/dev/null"), 2),
        (("import",), 2),
        (("import", "nowhere.zip"), 3),
        (("import", "mirror"), 4),
        (("import", "keys/root.json"), 4),
        (("trust", "add", "keys/root.json", "--channel", "starter"), 2),
        (("trust", "add", "keys/root.pem", "--channel", "main"), 3),
        (("trust", "remove", "main"), 2),
        (("info", "deadbeef"), 4),
        (("info", "zzz"), 2),
        (("verify",), 4),
    ],
)
def test_what_cannot_work_is_one_line_and_leaves_nothing_behind(
    empty: Cli, mirror: Path, keys: Path, tmp_path: Path, words: tuple[str, ...], code: int
) -> None:
    placed = [
        str(tmp_path / word) if (word.split("/")[0]) in ("keys", "mirror", "x.zip", "nowhere.zip") else word
        for word in words
    ]
    done = empty("definitions", *placed, code=code)
    assert done.stdout == ""
    assert done.stderr.startswith("redoubt: error: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("*x.zip*"))


def test_definitions_can_be_named_as_a_file_a_folder_or_a_digest(redoubt: Cli, tmp_path: Path) -> None:
    from redoubt.definitions.trust import STARTER_ROOT

    index = tmp_path / "index.json"
    index.write_text('{"schema": "1.0"}')
    bundle = STARTER_ROOT.with_name("starter.zip")
    shutil.unpack_archive(bundle, tmp_path / "unpacked")
    digest = active(redoubt)
    root = tmp_path / "root" / "etc"
    root.mkdir(parents=True)
    redoubt("index", f"dir:{root.parent}", "-o", "json", "--output-file", index)
    reports = {
        redoubt("match", index, "-o", "json", "--definitions", chosen).stdout
        for chosen in (bundle, tmp_path / "unpacked", digest, digest[7:15])
    }
    assert len(reports) == 1
    for chosen, code in (("deadbeef", 4), ("", 2), (tmp_path / "none.zip", 3), (index, 4)):
        redoubt("match", index, "--definitions", chosen, code=code)


def test_imports_at_the_same_time_leave_one_active_and_nothing_else(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    cli = Cli(tmp_path)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: cli("definitions", "import", "--starter"), range(3)))
    assert len(cli.json("definitions", "list")) == 1
    assert list((tmp_path / "data" / "definitions" / "tmp").glob("*")) == []


def test_building_online_without_a_network_names_every_source(empty: Cli, keys: Path, tmp_path: Path) -> None:
    offline = Cli(empty.home, {"REDOUBT_OFFLINE": "1"})
    done = offline("definitions", "build", "--online", "--key", keys, "--out", tmp_path / "b.zip", code=6)
    for source in ("osv-pypi", "debian", "alpine", "kev", "epss"):
        assert f"warning: {source}: " in done.stderr
    assert not (tmp_path / "b.zip").exists()
