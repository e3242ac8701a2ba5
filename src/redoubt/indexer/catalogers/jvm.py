"""Installations of Java itself: the ``release`` file at the root of each JDK and JRE.

There is no source of advisories with versions for them (NVD's scores name no packages, and Bitnami's ranges are for its
own builds): they are listed, not judged. It must not know about archives.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_LINE = re.compile(r'([A-Z_]{1,40})="?([^"\r\n]*)"?').match
_VERSIONS = ("JAVA_RUNTIME_VERSION", "FULL_VERSION", "SEMANTIC_VERSION", "JAVA_VERSION")


class JvmCataloger:
    """Files named ``release``."""

    name = "jvm"
    version = 1
    wanted = Wanted(names=frozenset({b"release"}), max_size=1 << 20)

    def accepts(self, path: bytes) -> bool:
        """Every path: the content decides."""
        return True

    def catalog(self, path: str, content: Content) -> Catalog:
        """``openjdk``; Oracle's own as ``jdk`` or ``jre``; GraalVM as ``graalvm``. Other files' are none."""
        found = Findings()
        values: dict[str, str] = {}
        for line in content.all().decode("utf-8", "replace").split("\n"):
            if match := _LINE(line):
                values.setdefault(match[1], clean(match[2]))
        if values.get("JAVA_VERSION"):
            version = next(values[key] for key in _VERSIONS if values.get(key))
            found.add("generic", _name(values), version, vendor=values.get("IMPLEMENTOR", ""))
        return found.catalog()


def _name(values: dict[str, str]) -> str:
    if values.get("GRAALVM_VERSION"):
        return "graalvm"
    if values.get("BUILD_TYPE") == "commercial" or values.get("IMPLEMENTOR") == "Oracle Corporation":
        return "jre" if values.get("IMAGE_TYPE") == "JRE" else "jdk"
    return "openjdk"
