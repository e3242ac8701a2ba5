"""Which of Red Hat's containers an image is: the labels that its build system leaves inside.

``labels.json`` (its schema: https://security.access.redhat.com/data/meta/v1/embedded_metadata.v1.schema.json) or,
in older builds, the Dockerfile, below ``root/buildinfo``. The container is listed as a package of type ``oci``. It must
not know which repositories a container's name stands for.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.indexer.repositories import CONTAINER

_LABELS = frozenset((b"root/buildinfo/labels.json", b"usr/share/buildinfo/labels.json"))
_DOCKERFILE = "root/buildinfo/Dockerfile-"
#: An instruction of a Dockerfile that sets names, and its words; quotes hold blanks, a backslash the next character.
_SETTING = re.compile(r"\s*(LABEL|ENV|ARG)\s+(.*)", re.IGNORECASE | re.DOTALL)
_WORD = re.compile(r"""(?:[^\s"'\\]++|\\.|"(?:[^"\\]++|\\.)*+"|'[^']*+')++""", re.DOTALL)
_QUOTED = re.compile(r""""((?:[^"\\]++|\\.)*+)"|'([^']*+)'|\\(.)""", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{(\w{1,200})\}|(\w{1,200}))")
#: Most instructions that are looked at, and the longest value that is believed.
_MAX_LINES, _MAX_VALUE = 10_000, 4096


class _Labels(msgspec.Struct):
    name: str = ""
    architecture: str = ""
    cpe: str = ""
    created: str = msgspec.field(default="", name="org.opencontainers.image.created")


_decode = msgspec.json.Decoder(_Labels).decode


class RedHatContainerCataloger:
    """``labels.json`` in either of its places, or ``Dockerfile-NAME-VERSION-RELEASE``."""

    name = "redhat-container"
    version = 1
    wanted = Wanted(directories=frozenset((b"buildinfo",)), max_size=1 << 20)

    def accepts(self, path: bytes) -> bool:
        """Whether it is one of the image's own files of that kind."""
        name = path.removeprefix(_DOCKERFILE.encode())
        return path in _LABELS or (name != path and b"/" not in name and name.count(b"-") > 1)

    def catalog(self, path: str, content: Content) -> Catalog:
        """The container as one package; none where the labels that make one are not there."""
        found = Findings()
        if not path.startswith(_DOCKERFILE):
            _labels(content.all(), found)
            return found.catalog()
        labels = _dockerfile(content.all().decode("utf-8", "replace"))
        name, arch = clean(labels.get("name", "")), clean(labels.get("architecture", ""))
        version = "-".join(path.rsplit("-", 2)[1:])
        if name and arch and "com.redhat.component" in labels:
            found.add(CONTAINER, name, clean(version), arch=arch)
        return found.catalog()


def _labels(data: bytes, found: Findings) -> None:
    try:
        labels = _decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        found.damaged(f"not the labels of a container: {clean(str(error))[:200]}")
        return
    name, arch, cpe = (_unquoted(text) for text in (labels.name, labels.architecture, labels.cpe))
    version = _seconds(labels.created)
    if name and arch and version:
        # Builds are numbered by their time, as the tags in Red Hat's data are.
        found.add(CONTAINER, name, version, arch=arch, repositories=(cpe,) if 0 < len(cpe) <= 500 else ())


def _unquoted(text: str) -> str:
    """Some builds wrote values with a second pair of quotes inside."""
    return clean(text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text)


def _seconds(created: str) -> str:
    """RFC 3339 as seconds since 1970; empty for what is no time."""
    try:
        moment = datetime.fromisoformat(created)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return str(int(moment.timestamp())) if moment.year >= 2000 else ""
    except (ValueError, OverflowError):
        return ""


def _dockerfile(text: str) -> dict[str, str]:
    """The labels that a Dockerfile sets, variables filled in, the last of each name."""
    labels: dict[str, str] = {}
    variables: dict[str, str] = {}
    for instruction in _instructions(text):
        if (found := _SETTING.fullmatch(instruction)) is None:
            continue
        words = _WORD.findall(found[2])
        if words and "=" not in words[0] and len(words) > 1:
            words = [f"{words[0]}={' '.join(words[1:])}"]  # ``LABEL name value``
        for word in words:
            name, equals, value = word.partition("=")
            if equals:
                into = labels if found[1].upper() == "LABEL" else variables
                into[_plain(name)] = _filled(_plain(value), variables)
    return labels


def _instructions(text: str) -> list[str]:
    """Lines, those that end in a backslash joined with the next, without comments."""
    found, parts = [], []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        parts.append(line.rstrip().removesuffix("\\"))
        if not line.rstrip().endswith("\\"):
            found.append(" ".join(parts))
            parts = []
            if len(found) == _MAX_LINES:
                break
    return [*found, " ".join(parts)]


def _plain(word: str) -> str:
    return _QUOTED.sub(lambda part: part[1] or part[2] or part[3] or "", word)


def _filled(value: str, variables: dict[str, str]) -> str:
    return _VARIABLE.sub(lambda name: variables.get(name[1] or name[2], ""), value[:_MAX_VALUE])[:_MAX_VALUE]
