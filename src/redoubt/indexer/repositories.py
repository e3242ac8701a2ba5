"""Which repositories the packages of a layer may have come from, where the layer lists them.

Red Hat's images list the repositories (content sets) that a layer was built from. A layer that lists none shares what
its neighbours say, the one below it first: a user's layer is built on a base image, and the lowest layers of
one are listed by those above. It must not know how such lists are written, nor what a repository's name means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from redoubt.model import Package

if TYPE_CHECKING:
    from redoubt.indexer.report import LayerReport

#: The purl type of a container that is listed as a package.
CONTAINER = "oci"


class RepositoryList(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The repositories of all rpm packages of a layer. ``inexact``: they are more than those that were used, and
    what is noted of a package itself (``origins``) goes before them.
    """

    repositories: tuple[str, ...]
    inexact: bool = False


_NONE = RepositoryList(())


class RepositoryLists:
    """The lists of all layers, bottom first, as far as they reach."""

    def __init__(self, layers: Sequence[tuple[str, Sequence[LayerReport]]]) -> None:
        # A layer's list holds for it, whether or not a higher layer brings one of the same name.
        lists = [_listed(reports) for _, reports in layers]
        self.known = any(lists)
        current = next((one for one in lists if one is not None), _NONE)
        self._lists = []
        for one in lists:
            current = one or current
            self._lists.append(current)

    def told(self, package: Package, layer: int) -> Package:
        """The package, first brought by the layer of that number, with its repositories."""
        listed = self._lists[layer]
        if package.type != "rpm" or (listed.inexact and package.repositories) or not listed.repositories:
            return package
        return msgspec.structs.replace(package, repositories=listed.repositories)


def _listed(reports: Sequence[LayerReport]) -> RepositoryList | None:
    lists = [file.listed for report in reports for file in report.files if file.listed]
    if not lists:
        return None
    names = {name for one in lists for name in one.repositories}
    return RepositoryList(tuple(sorted(names)), any(one.inexact for one in lists))
