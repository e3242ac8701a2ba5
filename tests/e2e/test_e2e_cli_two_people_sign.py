"""Two of three people sign, each on a machine of their own, as the documents tell them to."""

from __future__ import annotations

import shutil
from pathlib import Path

from support.cli import Cli
from support.feeds import FIXTURES

KEYGEN = ("definitions", "keygen")
ROOT = ("definitions", "root")


def test_two_people_sign_and_a_third_takes_over(tmp_path: Path) -> None:
    people = {name: Cli(tmp_path / name) for name in ("alice", "bob", "carol", "dave")}
    alice, bob, carol, dave = people.values()
    for name, person in people.items():
        person.home.mkdir()
        person(*KEYGEN, "--name", name, "--out", person.home)
    public = [
        option for name in ("alice", "bob", "carol") for option in ("--key", tmp_path / name / f"{name}.pub")
    ]

    root = alice.home / "root.json"
    said = alice(*ROOT, "new", "--out", root, "--threshold", "2", *public).stdout
    assert "Lacks 2 more" in said
    alice(*ROOT, "sign", root, "--key", alice.home / "alice.pem")
    shutil.copy(root, bob.home)
    said = bob(*ROOT, "sign", bob.home / "root.json", "--key", bob.home / "bob.pem").stdout
    assert "Complete" in said
    for person in (alice, carol, dave):
        shutil.copy(bob.home / "root.json", person.home)
    assert alice.json(*ROOT, "show", root)["complete"]

    site = Cli(tmp_path / "site")
    site("definitions", "trust", "add", root, "--channel", "main")
    mirror = tmp_path / "mirror"
    shutil.copytree(FIXTURES / "alpine", mirror / "alpine")
    build = ("definitions", "build", "--mirror", mirror, "--out")
    today = alice.home / "today.zip"
    built = alice(*build, today, "--key", alice.home / "alice.pem").stderr
    assert "lacks 1 signature" in built
    assert "has 1 of the 2 signatures" in site("definitions", "import", today, code=4).stderr

    own = bob(*build, bob.home / "own.zip", "--key", bob.home / "bob.pem").stderr
    digest = next(word for word in own.split() if word.startswith("sha256:"))
    shutil.copy(today, bob.home)
    signed = bob(
        "definitions", "sign", bob.home / "today.zip", "--key", bob.home / "bob.pem", "--digest", digest
    ).stderr
    assert "lacks" not in signed
    site("definitions", "import", bob.home / "today.zip")

    shown = bob.json(*ROOT, "show", bob.home / "root.json")
    alices = next(key for key in shown["bundles"]["keys"] if key in _ids(alice))
    changed = ("--add-key", tmp_path / "dave" / "dave.pub", "--remove-key", alices[:12])
    bob(*ROOT, "change", bob.home / "root.json", *changed)
    second = bob.home / "2.root.json"
    bob(*ROOT, "sign", second, "--key", bob.home / "bob.pem")
    shutil.copy(second, carol.home)
    carol(*ROOT, "sign", carol.home / "2.root.json", "--key", carol.home / "carol.pem")
    for person in (bob, dave):
        shutil.copy(carol.home / "2.root.json", person.home)
    tomorrow = dave.home / "tomorrow.zip"
    dave(*build, tomorrow, "--key", dave.home / "dave.pem")
    shutil.copy(tomorrow, bob.home)
    bob("definitions", "sign", bob.home / "tomorrow.zip", "--key", bob.home / "bob.pem")
    site("definitions", "import", bob.home / "tomorrow.zip")
    assert [
        row["version"] for row in site.json("definitions", "trust", "list") if row["channel"] == "main"
    ] == [2]


def _ids(person: Cli) -> set[str]:
    from redoubt.definitions.keys import load_signer

    return {load_signer(person.home / f"{person.home.name}.pem").public_key.keyid}
