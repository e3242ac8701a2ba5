"""Coverage-guided fuzzing of everything that reads what a stranger wrote. Needs atheris.

    python tests/fuzz/run.py TARGET [-max_total_time=60] [CORPUS]
    python tests/fuzz/run.py --list

Arguments after the target are libFuzzer's. Seeds and the kept corpus are always added; what a run finds
goes into CORPUS, where one is named. Half of the changes keep an input's form (``mutators``). ``python tests/fuzz/corpus.py`` keeps what is worth keeping.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import atheris

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent), str(ROOT / "src"), str(ROOT / "scripts")]

#: Others' code that a target drives; its branches are what there is to find.
OTHERS = {"http2": ["h2", "hpack", "hyperframe", "grpclib"], "http1": ["uvicorn"]}

with atheris.instrument_imports(include=["redoubt", *OTHERS.get(sys.argv[1] if sys.argv[1:] else "", ())]):
    import targets
    from targets import interface

import corpus  # noqa: E402
import mutators  # noqa: E402


def _quiet(target: interface.Target, data: bytes) -> None:
    target.run(data)  # what it says is for tests: libFuzzer takes a number for something else


def main() -> None:
    """Fuzz the target named first on the command line."""
    if sys.argv[1:] == ["--list"]:
        print(*targets.TARGETS, sep="\n")
        return
    if len(sys.argv) < 2 or sys.argv[1] not in targets.TARGETS:
        sys.exit(__doc__)
    name = sys.argv.pop(1)
    logging.disable(logging.CRITICAL)
    target = targets.TARGETS[name]
    seeds = [*target.seeds(), *corpus.kept(name)]
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile("w") as dictionary:
        for number, seed in enumerate(seeds):
            (Path(folder) / str(number)).write_bytes(seed)
        words = [word.decode() for word in mutators.words(seeds)]
        dictionary.writelines(f'"{word}"\n' for word in words)
        dictionary.flush()
        largest = max(20_000, *(2 * len(seed) for seed in seeds))
        options = [f"-max_len={largest}", "-timeout=20", "-rss_limit_mb=1024"]
        options += [f"-dict={dictionary.name}"] if words else []  # an empty one is refused
        atheris.Setup(
            [sys.argv[0], *options, *sys.argv[1:], folder],
            lambda data: _quiet(target, data),
            # atheris has another ``Mutate`` once it runs
            custom_mutator=mutators.mutator(seeds, lambda data, most: atheris.Mutate(data, most)),
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
