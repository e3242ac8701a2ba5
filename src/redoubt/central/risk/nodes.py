"""How risky a node is: what is known to be wrong in what is installed on its host. Pure."""

from __future__ import annotations

from redoubt.central.images.flaws import severity
from redoubt.central.risk.flaws import weighed
from redoubt.central.risk.scores import Risk, together
from redoubt.model import VulnerabilityReport
from redoubt.model.scannedimage import SEVERITY_ENDING

VULNERABILITIES = "Node Vulnerabilities"


def assessed(name: str, report: VulnerabilityReport) -> Risk:
    """The risk of a node."""
    flaws = (
        (flaw.id, severity(flaw.severity).removesuffix(SEVERITY_ENDING))
        for package in report.packages
        for flaw in package.findings
    )
    return together([weighed(flaws, VULNERABILITIES, f"Node {name!r}")])
