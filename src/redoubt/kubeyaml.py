"""YAML or JSON of Kubernetes' objects that a stranger wrote: documents, and lists of them. Pure.

The text is limited, and so are depth and aliases, as a few of these can stand for any amount.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec
import yaml

from redoubt.errors import LimitExceeded, UnreadableInput

LARGEST = 2 << 20
_DEEPEST, _ALIASES = 100, 20
#: What somebody wrote as JSON: in YAML, too, but what is wrong with it as YAML would mislead.
_LIKE_JSON = re.compile(r'\s*\{\s*"')


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # chosen as it runs
    """YAML as Kubernetes reads it: what looks like a date stays a text."""

    yaml_implicit_resolvers: ClassVar = {
        first: [each for each in resolvers if each[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def objects(text: str) -> Iterator[dict[str, Any]]:
    """Each object; ``kind``, where it is said, is a text. Raises ``UnreadableInput``, ``LimitExceeded``."""
    if len(text) > LARGEST:
        raise LimitExceeded(f"the YAML has {len(text)} characters; at most {LARGEST} are read")
    for each in _documents(text):
        if each is None:
            continue
        items = [each]
        if isinstance(each, dict) and each.get("kind") == "List":
            items = each.get("items") or []
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise UnreadableInput("the YAML is no object of Kubernetes")
        for item in items:
            if not isinstance(item.get("kind", ""), str):
                raise UnreadableInput(f"the kind of an object is no text: {str(item['kind'])[:60]!r}")
            yield item


def reference(given: dict[str, Any]) -> str:
    """Which object it is: ``namespace/name[group/version, Kind=kind]``, fit for a terminal."""
    meta = given.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    name = "/".join(str(part)[:253] for part in (meta.get("namespace"), meta.get("name")) if part)
    group, _, version = str(given.get("apiVersion", ""))[:253].rpartition("/")
    found = f"{name}[{group}/{version}, Kind={str(given.get('kind', ''))[:63]}]"
    return "".join(each if each.isprintable() else "\ufffd" for each in found)


def _documents(text: str) -> list[Any]:
    """As ``kubectl`` has it, what begins like JSON is JSON, and YAML only if it is none."""
    spoilt = ""
    if text.lstrip().startswith("{"):
        try:
            document = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            spoilt = str(error) if _LIKE_JSON.match(text) else ""
        else:
            _check_depth(document)
            return [document]
    try:
        _check(text)
        return list(yaml.load_all(text, Loader=_Loader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = (
            f"the JSON cannot be read: {spoilt}" if spoilt else f"the YAML cannot be read: {_reason(error)}"
        )
        raise UnreadableInput(reason[:325]) from None


def _check_depth(document: object) -> None:
    inside, depth = [document], 0
    while inside := [
        part
        for each in inside
        if isinstance(each, dict | list)
        for part in (each.values() if isinstance(each, dict) else each)
    ]:
        depth += 1
        if depth > _DEEPEST:
            raise LimitExceeded(f"the JSON is deeper than {_DEEPEST}")


def _reason(error: Exception) -> str:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    if mark is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {getattr(error, 'problem', '')}"


def _check(text: str) -> None:
    depth = aliases = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        if depth > _DEEPEST or aliases > _ALIASES:
            raise LimitExceeded(f"the YAML is deeper than {_DEEPEST}, or has more than {_ALIASES} aliases")
