"""Patterns of names and of paths, and that no pattern makes them slow."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.matcher import globs


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("openssl", "openssl", True),
        ("openssl", "openssl-libs", False),
        ("openssl*", "openssl-libs", True),
        ("*", "anything/at:all", True),
        ("@babel/*", "@babel/core", True),
        ("@babel/*", "@babel", False),
        ("*:log4j-core", "org.apache.logging.log4j:log4j-core", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-b-b", False),
        ("lib?", "libc", False),
    ],
)
def test_a_star_in_a_name_is_any_characters(pattern: str, text: str, matches: bool) -> None:
    assert globs.name(pattern, text) is matches


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("srv/app.jar", "srv/app.jar", True),
        ("/srv/app.jar", "srv/app.jar", True),
        ("srv", "srv/app.jar", False),
        ("srv/*", "srv/app.jar", True),
        ("srv/*", "srv/lib/app.jar", False),
        ("srv/**", "srv/lib/app.jar", True),
        ("srv/**", "srv", True),
        ("srv/**/app.jar", "srv/app.jar", True),
        ("srv/**/app.jar", "srv/a/b/app.jar", True),
        ("**/node_modules/**", "srv/node_modules/a/package.json", True),
        ("**/node_modules/**", "srv/old_node_modules/a/package.json", False),
        ("**/*.jar", "srv/a/core.jar", True),
        ("app/shop.jar!/**", "app/shop.jar!/BOOT-INF/lib/core.jar", True),
        ("srv/[slug]/a", "srv/[slug]/a", True),
        ("srv/[slug]/a", "srv/s/a", False),
        ("srv/?.txt", "srv/a.txt", True),
        ("srv/?.txt", "srv/ab.txt", False),
        ("srv/a?b", "srv/a/b", False),
        ("**", "srv/a", True),
    ],
)
def test_a_path_is_matched_segment_by_segment(pattern: str, text: str, matches: bool) -> None:
    assert globs.path(pattern, text) is matches


def as_expression(pattern: str) -> str:
    """The slow and plain meaning of a pattern of segments."""
    parts = ["(?:[^/]*/)*" if part == "**" else re.escape(part).replace(r"\*", "[^/]*").replace(r"\?", "[^/]") + "/"
             for part in pattern.split("/")]  # fmt: skip
    return "".join(parts)


@given(st.text("ab*?/", min_size=1, max_size=8), st.text("ab/", max_size=8))
def test_paths_are_matched_as_an_expression_would(pattern: str, text: str) -> None:
    pattern = pattern.lstrip("/") or "a"
    assert globs.path(pattern, text) is bool(re.fullmatch(as_expression(pattern), text + "/"))


@pytest.mark.timeout(60)
def test_patterns_made_to_be_slow_are_not() -> None:
    assert not globs.path("**/" * 500 + "x", "a/" * 2000 + "a")
    assert not globs.path("*a" * 500 + "b", "a" * 4000)
    assert not globs.name("*a" * 500 + "b", "a" * 4000)
