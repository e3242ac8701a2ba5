"""Which hosts a database's URL names."""

from __future__ import annotations

import pytest

from redoubt.postgres.databases import hosts


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgresql://db.example/central", {"db.example"}),
        ("postgresql://user:p%40ss@DB.example:5433/central?sslmode=verify-full", {"db.example"}),
        ("postgresql://one.example:1,two.example:2/central", {"one.example", "two.example"}),
        ("postgresql://[2001:db8::1]:5432/central", {"2001:db8::1"}),
        ("postgresql:///central?host=/run/postgresql&user=x", set()),
        ("postgresql:///central?host=one.example,/run/postgresql", {"one.example"}),
        ("postgresql://%2Frun%2Fpostgresql/central", set()),
        ("postgresql://[", set()),
        ("", set()),
    ],
)
def test_hosts_of_a_url(url: str, found: set[str]) -> None:
    assert hosts(url) == found
