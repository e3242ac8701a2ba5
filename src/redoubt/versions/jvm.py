"""Versions of Java runtimes, as their ``release`` files name them: ``1.8.0_312``, ``11.0.13+8``, ``17.0.1``.

Rules: JEP 322 (and 223) as ``java.lang.Runtime.Version`` parses and compares numbers and pre-releases; the
older form ``1.MAJOR.MINOR_UPDATE`` and its short name (``8u312``) are put on the same line as
``MAJOR.MINOR.UPDATE``: ``1.8.0_312`` is ``8.0.312``, below 9.

Unlike ``Runtime.Version``, the build and what follows it (``+8-LTS``, ``-b07``) are ignored: flaws are told
by release, and ``11.0.13+8`` has to lie in a range that ends with ``11.0.13``. Zeros at the end are read
(``17.0.0`` is ``17``), and numbers may have any length.
"""

from __future__ import annotations

import re

from redoubt.versions.invalid import InvalidVersion
from redoubt.versions.keys import Memo, number
from redoubt.versions.semver import identifier

_ELEMENTS = r"[1-9][0-9]*+(?:\.(?:0|[1-9][0-9]*+))*+"
_OPTIONAL = r"[-a-zA-Z0-9.]++"
_VERSION = re.compile(
    rf"({_ELEMENTS})(?:-([a-zA-Z0-9]++)(?:\+(?:0|[1-9][0-9]*+)(?:-{_OPTIONAL})?+|-{_OPTIONAL})?+"
    rf"|\+(?:0|[1-9][0-9]*+)(?:-{_OPTIONAL})?+|\+-{_OPTIONAL})?+"
).fullmatch
_BEFORE_9 = re.compile(
    r"(?:1\.([1-8])(?:\.([0-9]++)(?:[._]([0-9]++))?+)?+|([5-8])u([0-9]++))"
    rf"(?:-(?!b[0-9])([a-zA-Z0-9]++))?+(?:-b[0-9]++)?+(?:-{_OPTIONAL})?+"
).fullmatch

_END, _ELEMENT = b"\0", b"\x01"
_NO_PRE = b"\x03"

_element_of = Memo(lambda digits: _ELEMENT + number(digits)).__getitem__


def key(version: str) -> bytes:
    """Order-preserving bytes of a Java runtime's version. Raises ``InvalidVersion``."""
    match = _BEFORE_9(version)
    if match:
        major, minor, update, short, short_update, pre = match.groups()
        elements = [major or short, minor or "0", update or short_update or "0"]
    else:
        match = _VERSION(version)
        if not match:
            raise InvalidVersion("jvm", version)
        pre = match[2]
        elements = match[1].split(".")
    while not elements[-1].strip("0"):
        elements.pop()
    parts = [*map(_element_of, elements), _END, identifier(pre) if pre else _NO_PRE]
    return b"".join(parts)
