"""Where OpenShift's mirror sets have images read."""

from __future__ import annotations

from typing import Any

import pytest

from redoubt.indexer.sources.reference import of_openshift, parse_reference
from redoubt.sensor.cluster.changes import Change
from redoubt.sensor.conversion.mirrors import mirror_set
from redoubt.sensor.graph.inventory import Inventory
from redoubt.sensor.graph.mirrors import MOST, Mirrored, SeenMirrors, places

DIGEST = "sha256:" + "1" * 64
RULES = (
    Mirrored("a.example", ("m.example/all",)),
    Mirrored("a.example/team", ("m.example/team", "n.example", "Not A Place")),
    Mirrored("a.example/team", ("tags.example/team",), digests=False),
    Mirrored("a.example/closed", ("m.example/closed",), never_source=True),
    Mirrored("*.wild.example", ("m.example/wild",)),
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            f"a.example/team/app:1@{DIGEST}",
            [f"m.example/team/app@{DIGEST}", f"n.example/app@{DIGEST}", "own"],
        ),
        ("a.example/team/app:1", ["tags.example/team/app:1", "own"]),
        (f"a.example/teams/app@{DIGEST}", [f"m.example/all/teams/app@{DIGEST}", "own"]),
        (f"a.example/closed@{DIGEST}", [f"m.example/closed@{DIGEST}"]),
        ("a.example/closed:1", []),
        (f"x.wild.example:5000/app@{DIGEST}", [f"m.example/wild/app@{DIGEST}", "own"]),
        (f"wild.example/app@{DIGEST}", ["own"]),
        (f"a.example.org/app@{DIGEST}", ["own"]),
        ("other.example/app:2", ["own"]),
    ],
)
def test_mirrors_of_the_longest_source_are_tried_before_it(name: str, expected: list[str]) -> None:
    reference = parse_reference(name)
    own = [str(reference) if each == "own" else each for each in expected]
    assert [str(each) for each in places(reference, RULES)] == own


def test_mirrors_without_end_are_as_many_as_may_be() -> None:
    rule = Mirrored("a.example", tuple(f"m{each}.example" for each in range(1000)))
    assert len(places(parse_reference(f"a.example/app@{DIGEST}"), [rule] * 5)) == MOST


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"repositoryDigestMirrors": [{"source": "a.example/x/", "mirrors": ["m.example/x/", 7]}]},
            [Mirrored("a.example/x", ("m.example/x",))],
        ),
        (
            {
                "imageDigestMirrors": [
                    {"source": "a.example", "mirrors": [], "mirrorSourcePolicy": "NeverContactSource"}
                ]
            },
            [Mirrored("a.example", (), never_source=True)],
        ),
        (
            {"imageTagMirrors": [{"source": "a.example", "mirrors": ["m.example"], "mirrorSourcePolicy": "AllowContactingSource"}]},
            [Mirrored("a.example", ("m.example",), digests=False)],
        ),
        ({"imageTagMirrors": {"source": 1}, "imageDigestMirrors": [None, {}, {"source": ["x"]}]}, []),
        (None, []),
    ],
)  # fmt: skip
def test_what_the_three_kinds_say(spec: Any, expected: list[Mirrored]) -> None:
    assert list(mirror_set({"spec": spec}).rules) == expected


def test_sets_count_as_long_as_they_are_there() -> None:
    inventory = Inventory()
    found = SeenMirrors(RULES[:1])
    inventory.apply(Change("ImageDigestMirrorSet", "one", found))
    assert inventory.mirrors.rules == [RULES[0]]
    inventory.apply(Change("ImageDigestMirrorSet", "one", None))
    assert inventory.mirrors.rules == []
    inventory.apply(Change("ImageDigestMirrorSet", "two", found))
    inventory.apply(Change("ImageDigestMirrorSet", "", None, listed=frozenset()))
    assert inventory.mirrors.rules == []
    assert not inventory.drain().objects


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("image-registry.openshift-image-registry.svc:5000/shop/app:1", True),
        ("image-registry.openshift-image-registry.svc.cluster.local:5000/shop/app:1", True),
        ("docker-registry.default.svc:5000/shop/app:1", True),
        ("image-registry.openshift-image-registry.svc.example/shop/app:1", False),
        ("a.example/image-registry.openshift-image-registry.svc:1", False),
    ],
)
def test_openshifts_own_registry_is_known_by_its_name(name: str, expected: bool) -> None:
    assert of_openshift(parse_reference(name)) is expected
