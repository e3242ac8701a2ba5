"""No input costs more than in proportion to its size: seeds of every parser, each part of them made large in turn.

Work at two sizes is compared, not times with a clock: CPU seconds of a process of its own, which is stopped
where it takes a minute. ``tests/fuzz/amplify.py`` says the same by hand, of more inputs.
"""

from __future__ import annotations

import sys
from itertools import islice

import pytest

from support.data import ROOT

sys.path.insert(0, str(ROOT / "tests" / "fuzz"))

import amplify
from targets import TARGETS

#: One of the sources that share a reader.
ALIKE = {name for name in TARGETS if name.startswith("feed:osv-")} - {"feed:osv-npm"}
#: Of every other shape: those that cost more are read again, larger.
SMALL, LARGE = 32 << 10, 128 << 10
YAML = ("kubernetes", "network-policies")
#: Bytes of memory for a byte of input, beyond what any input takes; those of YAML, which PyYAML makes nodes of (57).
MEMORY, OF_YAML, ALWAYS = 48, 72, 64 << 20


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in ALIKE])
def test_work_and_memory_grow_with_the_size(name: str) -> None:
    target = TARGETS[name]
    seed = max(target.seeds(), key=len)
    for shape in islice(amplify.shapes(seed), len(name) % 3, None, 3):
        cost = amplify.cost(target.run, shape, SMALL, LARGE)
        assert not isinstance(cost, str), (shape.name, cost)
        if cost.grows:
            cost = amplify.cost(target.run, shape, amplify.LARGE, 4 * amplify.LARGE)
            assert not isinstance(cost, str), (shape.name, cost)
            assert not cost.grows, (shape.name, cost)
        memory = OF_YAML if name.endswith(YAML) else MEMORY
        assert cost.memory < ALWAYS + memory * 4 * amplify.LARGE, (shape.name, cost)


def test_what_grows_with_the_square_is_found() -> None:
    def square(data: bytes) -> int:
        return sum(len(data[at:]) for at in range(0, len(data), 2))

    shape = next(amplify.shapes(b"a\nb"))
    cost = amplify.cost(square, shape)
    assert isinstance(cost, amplify.Cost)
    assert cost.grows


def test_what_fails_or_ends_its_process_is_told() -> None:
    def fails(data: bytes) -> int:
        raise ValueError("of this")

    shape = next(amplify.shapes(b"a\nb"))
    assert "of this" in str(amplify.cost(fails, shape))
