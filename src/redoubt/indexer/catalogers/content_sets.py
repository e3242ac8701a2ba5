"""Red Hat's content manifests: the repositories (content sets) that a layer's packages were taken from.

JSON that the build system leaves below ``root/buildinfo`` or ``usr/share/buildinfo``: ``content_sets`` is the list,
and ``from_dnf_hint`` says that it holds all that could have been used, so that dnf's own notes say more. It must not
know what a content set's name means, nor which packages are in the layer.
"""

from __future__ import annotations

import msgspec

from redoubt.indexer.catalogers.fields import MAX_FIELD, Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.indexer.repositories import RepositoryList
from redoubt.model import ProblemKind

_FOLDERS = frozenset(
    (b"root/buildinfo/content_manifests", b"usr/share/buildinfo/content_manifests", b"usr/share/buildinfo")
)
_LABELS = b"labels.json"
#: Most content sets that one manifest may list. One for every product and architecture is a tenth of it.
_MAX_SETS = 10_000


class _Manifest(msgspec.Struct):
    content_sets: list[str] | None = None
    from_dnf_hint: bool = False


_decode = msgspec.json.Decoder(_Manifest).decode


class ContentSetsCataloger:
    """The manifests of the image itself; those of a nested root say nothing about it."""

    name = "content-sets"
    version = 1
    wanted = Wanted(directories=frozenset((b"content_manifests", b"buildinfo")), max_size=16 << 20)

    def accepts(self, path: bytes) -> bool:
        """Whether it is a JSON file in one of the three folders, and not the container's labels."""
        folder, _, base = path.rpartition(b"/")
        return folder in _FOLDERS and base.endswith(b".json") and base != _LABELS

    def catalog(self, path: str, content: Content) -> Catalog:
        """No packages; the repositories of its layer's. A manifest without content sets says nothing."""
        found = Findings()
        try:
            manifest = _decode(content.all())
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            found.damaged(f"not a content manifest: {clean(str(error))[:200]}")
            return found.catalog()
        names = manifest.content_sets or []
        if len(names) > _MAX_SETS:
            found.problem(ProblemKind.LIMIT, f"more than {_MAX_SETS:,} content sets; the rest are not read")
        sets = {clean(name)[:MAX_FIELD] for name in names[:_MAX_SETS]} - {""}
        if sets:
            found.listed = RepositoryList(tuple(sorted(sets)), inexact=manifest.from_dnf_hint)
        return found.catalog()
