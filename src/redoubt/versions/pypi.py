"""Python package versions: PEP 440, as the ``packaging`` library parses and compares them.

Rules: "Version specifiers" of the Python Packaging User Guide (PEP 440), appendix B included: case, a
leading ``v``, surrounding white space and the separators that it normalises are accepted.
"""

from __future__ import annotations

import re

from redoubt.versions.invalid import InvalidVersion
from redoubt.versions.keys import ZERO, Memo, number, number_of

# White space may be Unicode's, letters are ASCII: without the inner flag, `poſt` would be read as `post`.
_VERSION = re.compile(
    r"""
    \s*+ (?ai: v?
    (?: ([0-9]++) ! )?
    ([0-9]++ (?: \.[0-9]++ )*+)
    (?: [-_.]? (alpha|a|beta|b|preview|pre|c|rc) [-_.]? ([0-9]++)? )?
    ( -([0-9]++) | [-_.]? (?:post|rev|r) [-_.]? ([0-9]++)? )?
    ( [-_.]? dev [-_.]? ([0-9]++)? )?
    (?: \+ ([a-z0-9]++ (?: [-_.] [a-z0-9]++ )*+) )?
    ) \s*+
    """,
    re.VERBOSE,
).fullmatch
_SEPARATORS = re.compile("[-_.]").split

_PHASES = {
    "a": b"\x01",
    "alpha": b"\x01",
    "b": b"\x02",
    "beta": b"\x02",
    "c": b"\x03",
    "rc": b"\x03",
    "pre": b"\x03",
    "preview": b"\x03",
}
_DEVELOPMENT_ONLY, _NO_PHASE = b"\0", b"\x04"
_NO_POST, _POST = b"\0", b"\x01"
_DEV, _NO_DEV = b"\0", b"\x01"
_END, _TEXT, _NUMBER = b"\0", b"\x01", b"\x02"


def _local_segment(text: str) -> bytes:
    if text.isdigit():
        return _NUMBER + number(text)
    return _TEXT + text.encode() + b"\0"


_component_of = Memo(lambda digits: b"\x01" + number(digits)).__getitem__
_local_segment_of = Memo(_local_segment).__getitem__


def key(version: str) -> bytes:
    """Order-preserving bytes of a PEP 440 version. Raises ``InvalidVersion``."""
    match = _VERSION(version)
    if not match:
        raise InvalidVersion("pypi", version)
    epoch, release, phase, phase_number, post, post_1, post_2, dev, dev_number, local = match.groups()
    components = release.split(".")
    while len(components) > 1 and not components[-1].strip("0"):
        components.pop()
    parts = [number_of(epoch) if epoch else ZERO, *map(_component_of, components), _END]
    if phase:
        parts.append(_PHASES[phase.lower()] + number_of(phase_number or "0"))
    else:
        parts.append(_DEVELOPMENT_ONLY if dev and not post else _NO_PHASE)
    parts.append(_POST + number_of(post_1 or post_2 or "0") if post else _NO_POST)
    parts.append(_DEV + number_of(dev_number or "0") if dev else _NO_DEV)
    if local:
        parts.extend(map(_local_segment_of, _SEPARATORS(local.lower())))
    parts.append(_END)
    return b"".join(parts)
