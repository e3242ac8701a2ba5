"""Every version of the shared advisory data: which have keys, which are refused, and how many."""

from __future__ import annotations

import itertools

import pytest
import versions_corpus as corpus

from redoubt import versions

#: Scheme → (fewest versions expected, most that may be outside the grammar, most that may be inexact).
#: Upstream's slips: PyPI versions from before PEP 440, Alpine and Wolfi typing errors such as ``1.0.-r0``.
EXPECTED = {
    "deb": (4_000, 0, 0),
    "rpm": (9_000, 0, 0),
    "apk": (8_900, 24, 0),
    "pypi": (13_000, 77, 0),
    "semver": (4_000, 1, 0),
    "npm": (60, 1, 0),
    "golang": (2_300, 0, 0),
    "maven": (40, 0, 0),
    "gem": (1_000, 0, 0),
}


@pytest.mark.shared
@pytest.mark.parametrize("scheme", sorted(EXPECTED))
def test_every_real_version_has_a_key_or_is_counted_as_refused(scheme: str) -> None:
    if not corpus.SHARED.is_dir():
        pytest.skip("needs the shared advisory data (REDOUBT_SHARED)")
    at_least, refused_at_most, inexact_at_most = EXPECTED[scheme]
    refused, inexact = [], []
    for version in corpus.real(scheme):
        try:
            if not versions.is_exact(versions.key(scheme, version)):
                inexact.append(version)
        except versions.InvalidVersion:
            refused.append(version)

    assert len(corpus.real(scheme)) >= at_least
    assert len(refused) <= refused_at_most, refused
    assert len(inexact) <= inexact_at_most, inexact


@pytest.mark.shared
@pytest.mark.parametrize("scheme", sorted(EXPECTED))
def test_sorting_real_versions_by_key_leaves_neighbours_in_order(scheme: str) -> None:
    if not corpus.SHARED.is_dir():
        pytest.skip("needs the shared advisory data (REDOUBT_SHARED)")
    keyed = sorted((versions.lenient_key(scheme, version), version) for version in corpus.real(scheme))
    exact = [version for key, version in keyed if versions.is_exact(key)]
    wrong = [(a, b) for a, b in itertools.pairwise(exact) if versions.compare(scheme, a, b) > 0]
    assert not wrong
