"""Which CVE a flaw is that a record only calls by GitHub's id: other databases of the same definitions may say.

Pure. Rolling distributions list nearly every flaw twice, by CVE and by ``GHSA-…``, and do not say that the two are
one. GitHub's own record of the id does, wherever a source carries it, and so does any other record that names both; what
those say is gathered when definitions are built. This module must not know of sources by name.
"""

from __future__ import annotations

from msgspec import structs

from redoubt.matcher.group import is_cve
from redoubt.matcher.interface import Snapshot
from redoubt.model import Advisory, flawnames


class Aliases:
    """Asks for each id once. One for a run."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._sources = [source.name for source in snapshot.info.sources if not source.scores_only]
        self._known: dict[str, tuple[str, ...]] = {}

    def named(self, advisory: Advisory) -> Advisory:
        """``advisory`` with the CVE as an alias that another record of its shared id names; as it is where none does.

        A record that names a CVE itself knows best. So does an erratum. Records of that very id come next, and then
        what any record says that names the id beside a CVE. Where these name several CVEs, the id is
        several flaws to them, and none of them is taken.
        """
        if advisory.cves or is_cve(advisory.id):  # nearly always
            return advisory
        if any(is_cve(name) for name in advisory.aliases):
            return advisory
        names = (advisory.id, *advisory.aliases)
        cves = {cve for name in names if name.startswith(flawnames.SHARED) for cve in self._cves(name)}
        if len(cves) != 1:
            return advisory
        return structs.replace(advisory, aliases=(*cves, *advisory.aliases))

    def _cves(self, name: str) -> tuple[str, ...]:
        if (known := self._known.get(name)) is None:
            records = (self._snapshot.advisory(f"{source}/{name}") for source in self._sources)
            found = {alias for record in records if record for alias in record.aliases if is_cve(alias)}
            named = found or filter(is_cve, self._snapshot.mapped(flawnames.ALIAS, name))
            known = self._known[name] = tuple(sorted(named))
        return known
