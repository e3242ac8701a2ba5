"""What a person typed: a prefix says which source is meant, or what lies at the path does."""

from __future__ import annotations

import os
import re
from pathlib import Path

from redoubt.errors import AccessDenied, UnreadableInput
from redoubt.indexer.sources.directory import DirectorySource
from redoubt.indexer.sources.docker_archive import DockerArchiveSource
from redoubt.indexer.sources.interface import ImageSource
from redoubt.indexer.sources.oci_layout import (
    KIND_ARCHIVE,
    KIND_DIR,
    ArchiveFiles,
    FolderFiles,
    OciLayoutSource,
)
from redoubt.indexer.sources.options import SourceOptions
from redoubt.indexer.sources.reference import parse_reference
from redoubt.indexer.sources.sbom import SbomSource, may_be_sbom
from redoubt.indexer.sources.slices import open_archive
from redoubt.indexer.sources.tarindex import TarIndex

_ARCHIVE_NAME = re.compile(r"\.(tar|tgz|oci|tar\.(gz|zst|xz|bz2))\Z", re.IGNORECASE)
#: ``registry:2`` and ``registry:5000/app`` are names of their own, not a prefix and a name.
_NAMED_REGISTRY = re.compile(r"registry:(\d+/|\d[\w.-]*\Z|latest\Z)")
#: One of these files, or three of these folders, and a folder is taken for a root filesystem.
_ROOT_FILES = ("etc/os-release", "usr/lib/os-release", "var/lib/dpkg/status", "lib/apk/db/installed")
_ROOT_FOLDERS = ("bin", "etc", "lib", "sbin", "usr", "var")


def open_source(target: str, *, options: SourceOptions | None = None) -> ImageSource:
    """The source that ``target`` names. Use it as a context manager.

    Raises ``UsageError`` for a name outside the grammar, ``UnreadableInput`` for a path with nothing usable
    at it, ``AccessDenied`` where it may not be read.
    """
    options = options or SourceOptions()
    prefix, _, rest = target.partition(":")
    match prefix:
        case "registry" if not _NAMED_REGISTRY.match(target):
            return _registry(target, rest, options)
        case "docker" if rest.startswith("//"):
            return _registry(target, rest[2:], options)
        case "docker-archive":
            path, tag = _path_and_name(rest)
            return DockerArchiveSource(target, path, tag)
        case "oci-archive":
            path, name = _path_and_name(rest)
            return OciLayoutSource(target, KIND_ARCHIVE, ArchiveFiles(path), name)
        case "oci-dir":
            path, name = _path_and_name(rest)
            return OciLayoutSource(target, KIND_DIR, FolderFiles(path), name)
        case "dir":
            return DirectorySource(target, _expanded(rest))
        case "sbom":
            return SbomSource(target, _expanded(rest))
    return _recognised(target, options)


def _recognised(target: str, options: SourceOptions) -> ImageSource:
    says_path = target.startswith(("/", "./", "../", "~")) or target in (".", "..")
    path, name = _path_and_name(target)
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except PermissionError:
        raise AccessDenied(f"{path}: permission denied") from None
    except (OSError, ValueError):
        is_folder = is_there = False
    if is_folder:
        if (path / "oci-layout").is_file() or ((path / "index.json").is_file() and (path / "blobs").is_dir()):
            return OciLayoutSource(target, KIND_DIR, FolderFiles(path), name)
        if not name and (says_path or _looks_like_root(path)):
            return DirectorySource(target, path)
    elif is_there:
        if not name and may_be_sbom(path):
            return SbomSource(target, path)
        return _archive(target, path, name)
    if says_path or _ARCHIVE_NAME.search(target.partition("@")[0]):
        raise UnreadableInput(f"{target}: no such file or folder")
    return _registry(target, target, options)


def _archive(target: str, path: Path, name: str) -> ImageSource:
    archive = open_archive(path)
    try:
        index = TarIndex(archive)
        if "manifest.json" in index:
            return DockerArchiveSource(target, path, name, archive)
        if "oci-layout" in index or "index.json" in index:
            return OciLayoutSource(target, KIND_ARCHIVE, ArchiveFiles(path, archive), name)
    except BaseException:
        archive.close()
        raise
    archive.close()
    raise UnreadableInput(f"{path}: an archive, but of no image (neither manifest.json nor oci-layout in it)")


def _registry(target: str, name: str, options: SourceOptions) -> ImageSource:
    from redoubt.indexer.sources.registry import RegistrySource

    return RegistrySource(target, parse_reference(name), options)


def _path_and_name(text: str) -> tuple[Path, str]:
    """``PATH[:NAME]``, where both may hold colons: the longest part that is there is the path."""
    whole = _expanded(text)
    if ":" not in text or _exists(whole):
        return whole, ""
    end = len(text)
    while (end := text.rfind(":", 0, end)) > 0:
        path = _expanded(text[:end])
        if _exists(path):
            return path, text[end + 1 :]
    return whole, ""


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _expanded(text: str) -> Path:
    if "\0" in text:
        raise UnreadableInput("a path cannot hold a NUL character")
    return Path(os.path.expanduser(text))  # noqa: PTH111 (an unknown user's ~ is left alone)


def _looks_like_root(path: Path) -> bool:
    return any((path / name).is_file() for name in _ROOT_FILES) or (
        sum((path / name).is_dir() for name in _ROOT_FOLDERS) >= 3
    )
