"""How many version keys a second, per scheme, on one core. ``python bench/versions.py`` prints a table.

``repeating`` is what definitions and images hold: versions share their pieces (``.0``, ``-1``, ``+deb11u1``).
``distinct`` is the other end: no number occurs twice, so that nothing remembered helps.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

from redoubt import versions

COUNT = 20_000
RUNS = 5

#: Shapes of real versions; ``{}`` is a number.
SHAPES = {
    "apk": ["{}.{}.{}-r{}", "{}.{}-r{}", "{}.{}.{}_p{}-r{}", "{}.{}_git{}-r{}"],
    "composer": ["1.{}.{}", "v2.{}.{}", "3.{}.{}.0", "4.{}.{}-beta{}", "5.{}.x-dev"],
    "deb": ["{}.{}.{}-{}", "{}.{}-{}+deb11u{}", "{}:{}.{}.{}+dfsg-{}", "{}.{}.{}~rc{}-{}"],
    "gem": ["{}.{}.{}", "{}.{}.{}", "{}.{}.{}.{}", "{}.{}.{}.rc{}", "{}.{}.0.beta.{}"],
    "golang": ["v{}.{}.{}", "v{}.{}.{}+incompatible", "v0.{}.{}-20190{}1021931-daa7c04131f5", "go1.{}.{}"],
    "jvm": ["11.0.{}+{}", "17.0.{}", "1.8.0_{}-b{}", "{}-ea+{}", "{}.0.{}.{}"],
    "maven": ["{}.{}.{}", "{}.{}.{}.Final", "{}.{}-beta-{}", "{}.{}.{}-jre", "{}.{}.{}.v{}"],
    "npm": ["{}.{}.{}", "{}.{}.{}", "{}.{}.{}-beta.{}", "{}.{}.{}-rc.{}"],
    "nuget": ["{}.{}.{}", "{}.{}.{}.{}", "{}.{}.{}-beta.{}", "{}.{}.{}-RC{}"],
    "pypi": ["{}.{}.{}", "{}.{}", "{}.{}rc{}", "{}.{}.{}.post{}", "{}.{}.dev{}"],
    "rpm": ["{}.{}.{}-{}.el9", "{}:{}.{}.{}-{}.el8_{}", "{}.{}-{}.module_el8.{}.0+{}+81096349", "{}.{}~rc{}-{}.el9"],
    "semver": ["{}.{}.{}", "{}.{}.{}", "{}.{}.{}-alpha.{}", "{}.{}.{}-rc{}"],
}  # fmt: skip


def _sample(scheme: str, number: Callable[[], int]) -> list[str]:
    shapes = SHAPES[scheme]
    return [shapes[turn % len(shapes)].format(*(number() for _ in range(6))) for turn in range(COUNT)]


def _keys_per_second(scheme: str, sample: list[str]) -> int:
    """Median over ``RUNS`` of CPU time; each sample is keyed through the public function."""
    rates = []
    for _ in range(RUNS):
        started = time.process_time()
        for version in sample:
            versions.key(scheme, version)
        rates.append(len(sample) / (time.process_time() - started))
    return round(statistics.median(rates))


def run() -> dict[str, dict[str, int]]:
    """Scheme → keys per second: ``repeating`` and ``distinct``, see above."""
    draw = random.Random(0)
    counter = iter(range(1_000_000, 100_000_000, 7))
    return {
        scheme: {
            "repeating": _keys_per_second(
                scheme, _sample(scheme, lambda: int(draw.paretovariate(0.8)) % 5_000)
            ),
            "distinct": _keys_per_second(scheme, _sample(scheme, lambda: next(counter))),
        }
        for scheme in sorted(SHAPES)
    }


if __name__ == "__main__":
    print(f"{'scheme':<8} {'repeating':>12} {'distinct':>12}   keys/s, one core, median of {RUNS} runs")
    for scheme, rates in run().items():
        print(f"{scheme:<8} {rates['repeating']:>12,} {rates['distinct']:>12,}")
