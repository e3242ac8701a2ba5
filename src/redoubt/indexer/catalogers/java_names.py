"""What a Java archive is called: from ``pom.properties``, from its manifest, from its file name.

Pure text rules, documented in ``docs/catalogers.md``. It must not know about archives.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from redoubt.indexer.catalogers import java_groups
from redoubt.indexer.catalogers.fields import clean


class Coordinates(NamedTuple):
    """Maven coordinates; each may be empty where it is unknown."""

    group: str
    artifact: str
    version: str

    @property
    def name(self) -> str:
        """``group:artifact``, or the artifact alone."""
        return f"{self.group}:{self.artifact}" if self.group else self.artifact


# The words that stand between dashes in versions; anything else between dashes belongs to the artifact.
_QUALIFIER = re.compile(
    r"(?:\d|v\d|(?:alpha|beta|milestone|m|rc|cr|b|build|rev|r|p|sp|patch|ga|final|release|snapshot|pre|preview"
    r"|jre|jdk|android|incubating|dev|ea|nightly|redhat|hadoop|spark|scala|java)\d*(?:[._]|$))",
    re.IGNORECASE,
)
_CLASSIFIER = re.compile(
    r"-(?:sources|javadoc|tests|test-sources|all|shaded|jar-with-dependencies|executable|exec|bin"
    r"|(?:linux|osx|windows)-(?:x86_64|x86_32|aarch_64|aarch64|amd64|arm64|ppcle_64|s390_64|riscv64)\S*)$",
    re.IGNORECASE,
)
_DASH_DIGIT = re.compile(r"-(?=\d)")
_PLUGIN = re.compile(r"^([A-Za-z][\w-]*(?:\.[\w-]+)+)_(\d+\.\d+\.\d+.*)$")
_GROUP = re.compile(r"^[A-Za-z][\w-]*(?:\.[A-Za-z_][\w-]*)+$")
_VERSIONS = ("implementation-version", "bundle-version", "plugin-version", "specification-version")
_ATTRIBUTES = frozenset(
    {*_VERSIONS, "implementation-title", "implementation-vendor-id", "bundle-symbolicname"}
)
# "3.x" names a series. "org.apache" is a vendor, not a group.
_SERIES = re.compile(r"(?:\d+\.)+[xX]$")
_NO_GROUP = frozenset({"org.apache"})
_ESCAPED = re.compile(r"\\(.)")


def of_file_name(path: str) -> tuple[str, str]:
    """Artifact and version of ``…/commons-io-2.11.0.jar``; the version is empty where the name has none.

    The version begins after a dash and a digit, at the first place where all that follows looks like a
    version (``log4j-1.2-api-2.17.1`` is ``log4j-1.2-api``), else at the last such place. An Eclipse
    plugin's ``a.b.c_1.2.3`` is split at its underscore.
    """
    base = re.split(r"[/!]", path)[-1]
    stem = _CLASSIFIER.sub("", base.rpartition(".")[0] or base)
    places = [match.start() for match in _DASH_DIGIT.finditer(stem) if match.start()]
    for place in places:
        if all(_QUALIFIER.match(part) for part in stem[place + 1 :].split("-")):
            break
    else:
        if not places:
            if plugin := _PLUGIN.match(stem):
                return plugin[1], plugin[2]
            return stem, ""
        place = places[-1]
    return stem[:place], stem[place + 1 :]


def of_properties(data: bytes, path: str) -> Coordinates:
    """What a ``pom.properties`` says (java.util.Properties, without Unicode escapes).

    Its own path, ``META-INF/maven/GROUP/ARTIFACT/pom.properties``, stands in for what it lacks.
    """
    values: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        line = line.strip()
        if line and line[0] not in "#!":
            key, _, value = line.partition("=") if "=" in line else line.partition(":")
            values[key.strip()] = _stated(_ESCAPED.sub(r"\1", value))
    group, artifact = of_pom_path(path)
    return Coordinates(
        values.get("groupId") or group, values.get("artifactId") or artifact, values.get("version", "")
    )


def of_pom_path(path: str) -> tuple[str, str]:
    """Group and artifact of ``META-INF/maven/GROUP/ARTIFACT/pom.…``, both empty if it is no such path."""
    parts = path.split("/")
    if len(parts) >= 5 and parts[-5:-3] == ["META-INF", "maven"]:
        return clean(parts[-3]), clean(parts[-2])
    return "", ""


def main_section(manifest: bytes) -> dict[str, str]:
    """The attributes of a ``MANIFEST.MF`` that name and date it, from its main section, lower-cased.

    A line that begins with a space continues the one before; an empty line ends the section (JAR File
    Specification, "Manifest Format").
    """
    text = manifest.replace(b"\r\n", b"\n").replace(b"\r", b"\n").lstrip(b"\n")
    section = text.split(b"\n\n", 1)[0].replace(b"\n ", b"").decode("utf-8", "replace")
    values: dict[str, str] = {}
    for line in section.split("\n"):
        key, colon, value = line.partition(":")
        if colon and (key := key.strip().lower()) in _ATTRIBUTES:
            values.setdefault(key, _stated(value))
    return values


def is_placed(path: str) -> bool:
    """Whether the place of an archive says what it is: a build tool put it there."""
    return java_groups.of_place(path) is not None


def of_manifest(manifest: dict[str, str], path: str) -> Coordinates:
    """What the archive itself is called where no ``pom.properties`` says so.

    A Maven repository or Gradle's cache say all three by the path. Else the artifact and the version come from
    the file's name, and a version that it lacks from the manifest. The group comes from the short list of
    ``java_groups``, from ``Implementation-Vendor-Id``, or from ``Bundle-SymbolicName`` where that is one
    the maven-bundle-plugin makes of a group and this artifact, else it stays unknown: a wrong group would
    be matched with the wrong advisories.
    """
    if placed := java_groups.of_place(path):
        return Coordinates(*map(clean, placed))
    artifact, version = of_file_name(path)
    if _SERIES.match(version):
        version = ""
    version = version or next((manifest[key] for key in _VERSIONS if manifest.get(key)), "")
    # A file that was renamed may have its artifact for a title, among titles that are prose.
    for name in (artifact, manifest.get("implementation-title", "")):
        if group := java_groups.known(name, version):
            return Coordinates(group, clean(name), version)
    group = manifest.get("implementation-vendor-id", "")
    if not _GROUP.match(group) or group in _NO_GROUP:
        symbolic = manifest.get("bundle-symbolicname", "").partition(";")[0].strip()
        group = _group_of_bundle(symbolic, artifact)
    return Coordinates("" if group in _NO_GROUP else group, clean(artifact), version)


def same_artifact(one: str, other: str) -> bool:
    """Whether two spellings (``error_prone`` and ``error-prone``) may be one artifact."""
    return re.sub(r"[-_.]", "-", one.lower()) == re.sub(r"[-_.]", "-", other.lower())


def _group_of_bundle(symbolic: str, artifact: str) -> str:
    # The plugin writes GROUP.ARTIFACT, leaving out what the artifact repeats of the group's last part:
    # org.apache.commons + commons-lang3 = org.apache.commons.lang3.
    if symbolic.endswith("." + artifact):
        # A group that itself ends in the artifact's name gives this too, but groups' parts have no dashes.
        group = symbolic[: -len(artifact) - 1]
        return group if "-" in artifact and _GROUP.match(group) else ""
    for place, character in enumerate(symbolic):
        if character == ".":
            group, rest = symbolic[:place], symbolic[place + 1 :]
            last = group.rpartition(".")[2]
            if _GROUP.match(group) and artifact in (f"{last}-{rest}", f"{last}.{rest}", f"{last}_{rest}"):
                return group
    return ""


def _stated(value: str) -> str:
    """A value that was really filled in: ``${project.version}`` is none."""
    value = clean(value)
    return "" if "${" in value or value.lower() in ("null", "unspecified", "unknown") else value
