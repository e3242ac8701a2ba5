"""What a probe is called: ``<module version>/<file>`` (facts 1.5, 2.6). No other name gets as far as a store or the disk."""

from __future__ import annotations

import re

#: Printable ASCII without slashes: what the original takes, without what no kernel's name has.
_WORD = r"[ -.0-\[\]-~]+"
_VERSION = re.compile(r"[0-9a-f]{64}|\d{1,9}\.\d{1,9}\.\d{1,9}(?:-rc\d{1,9})?", re.ASCII)
_FILE = re.compile(rf"collector-(?:ebpf-\d+\.{_WORD}\.o|\d+\.{_WORD}\.ko)\.gz", re.ASCII)
#: As long as a file's name can be.
_LONGEST = 255


def is_version(text: str) -> bool:
    """Whether it names a version of Collector's modules."""
    return _VERSION.fullmatch(text) is not None


def is_probe(name: str) -> bool:
    """Whether ``name`` is that of a probe: ``2.9.0/collector-ebpf-6.1.0-3.o.gz``."""
    version, slash, file = name.partition("/")
    return bool(slash) and is_version(version) and len(file) <= _LONGEST and _FILE.fullmatch(file) is not None
