"""What fuzzing once reached is reached again: the kept corpus and the seeds, in every test run, without a fuzzer."""

from __future__ import annotations

import sys

import pytest

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


def test_the_corpus_has_no_inputs_of_targets_that_are_gone() -> None:
    names = {name.replace(":", "-") for name in TARGETS}
    assert {path.stem for path in corpus.FOLDER.glob("*.zip")} <= names
