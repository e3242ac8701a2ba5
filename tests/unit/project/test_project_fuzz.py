"""What fuzzing once reached is reached again: the kept corpus and the seeds, in every test run, without a fuzzer."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from xml.etree import ElementTree

import pytest

from redoubt.definitions.sources import SOURCES
from redoubt.indexer.catalogers import ALL
from support.data import ROOT

sys.path.insert(0, str(ROOT / "tests" / "fuzz"))

import corpus
import mutators
from targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_the_kept_inputs_are_answered_for(name: str) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    assert seeds
    for data in (*seeds, *corpus.kept(name)):
        target.run(data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_seed_cut_short_anywhere_is_answered_for(name: str) -> None:
    target = TARGETS[name]
    for seed in target.seeds():
        for length in range(0, len(seed), max(len(seed) // 40, 1)):
            target.run(seed[:length])


def test_everything_that_reads_what_a_stranger_wrote_is_fuzzed() -> None:
    assert {f"catalog:{cataloger.name}" for cataloger in ALL} <= set(TARGETS)
    assert {f"feed:{source.name}" for source in SOURCES} <= set(TARGETS)
    assert {f"discover:{source.name}" for source in SOURCES if source.discover} <= set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_a_seed_is_understood_and_not_refused_at_once(name: str) -> None:
    target = TARGETS[name]
    assert all(target.run(seed) for seed in target.seeds())


def test_the_corpus_has_no_inputs_of_targets_that_are_gone() -> None:
    names = {name.replace(":", "-") for name in TARGETS}
    assert {path.stem for path in corpus.FOLDER.glob("*.zip")} <= names


def changed(seed: bytes, count: int = 300) -> list[bytes]:
    """Changes in form only: what libFuzzer would change stays as it is."""
    mutate = mutators.mutator([seed], lambda data, _: data)
    return [mutate(seed, 20_000, number) for number in range(count)]


def whole(data: bytes, form: str) -> bool:
    try:
        if form == "json":
            json.loads(data.partition(b"\n")[2])
        elif form == "xml":
            ElementTree.fromstring(data.partition(b"\n")[2])
        else:
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                archive.getnames()
    except (ValueError, ElementTree.ParseError, tarfile.TarError):
        return False
    return True


@pytest.mark.parametrize(
    ("name", "form"), [("catalog:sbom", "json"), ("feed:amazon", "xml"), ("tar-in-gzip", "tar")]
)
def test_most_changes_keep_the_form_and_change_what_is_in_it(name: str, form: str) -> None:
    seed = TARGETS[name].seeds()[0].partition(b"\n\0\n")[0]
    made = changed(seed)
    assert made == changed(seed)
    assert len(set(made)) > len(made) / 4
    assert sum(whole(data, form) for data in made) > len(made) * 0.7


@pytest.mark.parametrize(
    "seed", [b"", b"a", b"{", b"{}", b"[]", b"<a><b", b"a\n{}\n\0\n", bytes(257) + b"ustar"]
)
def test_anything_can_be_changed(seed: bytes) -> None:
    made = changed(seed)
    for number, data in enumerate(made):
        assert isinstance(mutators.mutator([seed], lambda data, _: data)(data, 20_000, number), bytes)
