"""The order in which findings and packages are told: worst first, and the same every time. Pure."""

from __future__ import annotations

from redoubt.model import Finding, PackageFindings, Status

#: A global, since an enumeration's members are slow to look up.
_UNDER_INVESTIGATION = Status.UNDER_INVESTIGATION


def finding_order(item: Finding) -> tuple[object, ...]:
    """Worst first; what is only under investigation last."""
    epss = item.epss.probability if item.epss else -1.0
    return (
        item.status is _UNDER_INVESTIGATION,
        -item.severity.rank,
        item.kev is None,
        -epss,
        item.id,
        item.fixed_version,
    )


def package_order(item: PackageFindings) -> tuple[object, ...]:
    """The package whose first finding is worst first. It must have one."""
    first = item.findings[0]  # the worst, unless all are only under investigation
    worst = -1 if first.status is _UNDER_INVESTIGATION else first.severity.rank
    return (-worst, item.type, item.name, item.version, item.arch, item.purl, item.locations)
