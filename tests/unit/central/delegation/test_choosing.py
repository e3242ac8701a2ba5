"""Which cluster scans an image."""

from __future__ import annotations

import pytest

from redoubt.central.delegation.choosing import cluster
from redoubt.model.cluster import DelegatedRegistry, DelegatedRegistryConfig

SOME = (
    DelegatedRegistry(path="far.example/team/", cluster_id="team"),
    DelegatedRegistry(path="far.example", cluster_id=""),
    DelegatedRegistry(path="other.example", cluster_id="other"),
)


@pytest.mark.parametrize(
    ("enabled", "image", "expected"),
    [
        ("NONE", "far.example/team/shop:1", ""),
        ("SPECIFIC", "far.example/team/shop:1", "team"),
        ("SPECIFIC", "far.example/shop:1", "default"),
        ("SPECIFIC", "other.example/shop:1", "other"),
        ("SPECIFIC", "near.example/far.example/team/shop:1", ""),
        ("ALL", "near.example/shop:1", "default"),
        ("ALL", "other.example/shop:1", "other"),
    ],
)
def test_the_first_path_that_the_name_begins_with_decides(enabled: str, image: str, expected: str) -> None:
    config = DelegatedRegistryConfig(enabled_for=enabled, default_cluster_id="default", registries=SOME)
    assert cluster(config, image) == expected


def test_without_a_default_cluster_central_scans() -> None:
    assert cluster(DelegatedRegistryConfig(enabled_for="ALL"), "near.example/shop:1") == ""
