"""ATT&CK's tactics and techniques by their identifiers, as policies refer to them: what is of use for containers. Pure.

Identifiers and names are MITRE's (https://attack.mitre.org); its descriptions are not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from redoubt.policies.policy import MitreAttackVectors

_NAMES = {
    "TA0001": "Initial Access",
    "TA0002": "Execution",
    "TA0003": "Persistence",
    "TA0004": "Privilege Escalation",
    "TA0005": "Defense Evasion",
    "TA0006": "Credential Access",
    "TA0007": "Discovery",
    "TA0008": "Lateral Movement",
    "TA0009": "Collection",
    "TA0010": "Exfiltration",
    "TA0011": "Command and Control",
    "TA0040": "Impact",
    "T1016": "System Network Configuration Discovery",
    "T1021": "Remote Services",
    "T1021.004": "Remote Services: SSH",
    "T1036": "Masquerading",
    "T1046": "Network Service Discovery",
    "T1053": "Scheduled Task/Job",
    "T1053.003": "Scheduled Task/Job: Cron",
    "T1053.007": "Scheduled Task/Job: Container Orchestration Job",
    "T1059": "Command and Scripting Interpreter",
    "T1059.004": "Command and Scripting Interpreter: Unix Shell",
    "T1068": "Exploitation for Privilege Escalation",
    "T1069": "Permission Groups Discovery",
    "T1070": "Indicator Removal",
    "T1078": "Valid Accounts",
    "T1098": "Account Manipulation",
    "T1105": "Ingress Tool Transfer",
    "T1110": "Brute Force",
    "T1133": "External Remote Services",
    "T1134": "Access Token Manipulation",
    "T1134.001": "Access Token Manipulation: Token Impersonation/Theft",
    "T1136": "Create Account",
    "T1190": "Exploit Public-Facing Application",
    "T1195": "Supply Chain Compromise",
    "T1195.002": "Supply Chain Compromise: Compromise Software Supply Chain",
    "T1204": "User Execution",
    "T1204.003": "User Execution: Malicious Image",
    "T1485": "Data Destruction",
    "T1490": "Inhibit System Recovery",
    "T1496": "Resource Hijacking",
    "T1498": "Network Denial of Service",
    "T1499": "Endpoint Denial of Service",
    "T1525": "Implant Internal Image",
    "T1528": "Steal Application Access Token",
    "T1543": "Create or Modify System Process",
    "T1543.002": "Create or Modify System Process: Systemd Service",
    "T1548": "Abuse Elevation Control Mechanism",
    "T1548.001": "Abuse Elevation Control Mechanism: Setuid and Setgid",
    "T1550": "Use Alternate Authentication Material",
    "T1552": "Unsecured Credentials",
    "T1552.007": "Unsecured Credentials: Container API",
    "T1562": "Impair Defenses",
    "T1562.004": "Impair Defenses: Disable or Modify System Firewall",
    "T1570": "Lateral Tool Transfer",
    "T1609": "Container Administration Command",
    "T1610": "Deploy Container",
    "T1611": "Escape to Host",
    "T1612": "Build Image on Host",
    "T1613": "Container and Resource Discovery",
}
_TECHNIQUES = {
    "TA0001": ("T1078", "T1133", "T1190", "T1195", "T1195.002"),
    "TA0002": (
        *("T1053", "T1053.003", "T1053.007", "T1059", "T1059.004", "T1204", "T1204.003", "T1609", "T1610"),
    ),
    "TA0003": (
        *("T1053", "T1053.003", "T1053.007", "T1078", "T1098", "T1133", "T1136", "T1525", "T1543"),
        "T1543.002",
    ),
    "TA0004": (
        *("T1053", "T1053.003", "T1053.007", "T1068", "T1078", "T1098", "T1134", "T1134.001", "T1543"),
        *("T1543.002", "T1548", "T1548.001", "T1611"),
    ),
    "TA0005": (
        *(
            "T1036",
            "T1070",
            "T1078",
            "T1134",
            "T1134.001",
            "T1548",
            "T1548.001",
            "T1550",
            "T1562",
            "T1562.004",
        ),
        *("T1610", "T1612"),
    ),
    "TA0006": ("T1110", "T1528", "T1552", "T1552.007"),
    "TA0007": ("T1016", "T1046", "T1069", "T1613"),
    "TA0008": ("T1021", "T1021.004", "T1550", "T1570"),
    "TA0009": (),
    "TA0010": (),
    "TA0011": ("T1105",),
    "TA0040": ("T1485", "T1490", "T1496", "T1498", "T1499"),
}


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """``MitreTactic`` and ``MitreTechnique``. ``name`` is the identifier where that is not known here."""

    id: str
    name: str
    description: str = ""


class Vector(msgspec.Struct, frozen=True, kw_only=True):
    """``storage.MitreAttackVector``: a tactic, and techniques of it."""

    tactic: Named
    techniques: tuple[Named, ...]


def vectors() -> tuple[Vector, ...]:
    """All that there are here, by tactic."""
    return tuple(_vector(tactic, techniques) for tactic, techniques in _TECHNIQUES.items())


def named(given: Iterable[MitreAttackVectors]) -> tuple[Vector, ...]:
    """A policy's, with names."""
    return tuple(_vector(each.tactic, each.techniques) for each in given)


def _vector(tactic: str, techniques: Sequence[str]) -> Vector:
    return Vector(tactic=_named(tactic), techniques=tuple(_named(each) for each in techniques))


def _named(identifier: str) -> Named:
    return Named(id=identifier, name=_NAMES.get(identifier, identifier))
