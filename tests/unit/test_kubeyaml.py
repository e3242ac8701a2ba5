"""Manifests in JSON are read as JSON is, with the limits of YAML."""

from __future__ import annotations

import json

import pytest

from redoubt import kubeyaml
from redoubt.errors import LimitExceeded, RedoubtError, UnreadableInput

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "annotations": {"mood": "\N{GRINNING FACE}"}},
}


@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_is_read_with_its_escapes(ascii_only: bool) -> None:
    whole = {"kind": "List", "items": [POD, POD]}
    assert list(kubeyaml.objects("\n " + json.dumps(whole, ensure_ascii=ascii_only))) == [POD, POD]


def test_what_only_begins_like_json_is_yaml() -> None:
    assert list(kubeyaml.objects("{kind: Pod}")) == [{"kind": "Pod"}]
    assert list(kubeyaml.objects('{"kind": "Pod"}\n---\nkind: Node\n')) == [{"kind": "Pod"}, {"kind": "Node"}]


def test_what_looks_like_a_date_stays_a_text() -> None:
    assert list(kubeyaml.objects('{"kind": "Pod", "at": "2099-01-01"}\n---\nat: 2099-01-01')) == [
        {"kind": "Pod", "at": "2099-01-01"},
        {"at": "2099-01-01"},
    ]


@pytest.mark.parametrize("depth", [101, 900, 5_000, 200_000])
@pytest.mark.parametrize(("left", "right"), [('{"a":', "}"), ('{"a":[', "]}")])
def test_json_is_as_deep_as_yaml_at_most(depth: int, left: str, right: str) -> None:
    with pytest.raises(LimitExceeded):
        list(kubeyaml.objects(left * depth + "1" + right * depth))


@pytest.mark.parametrize(
    "text", ['{"a": "\\ud83d"}', '{"a": "\ud83d"}', '{"a": 1', '{"a": 1}}', "{" * 1000, '{"a": \0}']
)
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(UnreadableInput):
        list(kubeyaml.objects(text))


def test_what_is_wrong_is_said_of_what_somebody_wrote() -> None:
    with pytest.raises(UnreadableInput, match=r"^the JSON cannot be read: Input data was truncated$"):
        list(kubeyaml.objects('{"kind": "Pod", "metadata": {"name": "\\ud83d\\ude00"'))
    with pytest.raises(UnreadableInput, match=r"^the YAML cannot be read: line "):
        list(kubeyaml.objects("{kind: Pod"))


def test_json_of_nothing_but_lists_is_no_object() -> None:
    with pytest.raises(RedoubtError):
        list(kubeyaml.objects('{"kind": "List", "items": [[1]]}'))
