"""What fuzzing once reached is reached again: the kept corpus and the seeds, in every test run, without a fuzzer."""

from __future__ import annotations

import sys

import pytest

from redoubt.definitions.sources import SOURCES
from redoubt.indexer.catalogers import ALL
from support.data import ROOT

sys.path.insert(0, str(ROOT / "tests" / "fuzz"))

import corpus
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
