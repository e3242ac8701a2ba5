"""placeholder"""

from redoubt.formats.interface import Options
from redoubt.model import IndexReport, VulnerabilityReport


def vulnerabilities(report: VulnerabilityReport, options: Options) -> bytes:
    return b""


def index(report: IndexReport, options: Options) -> bytes:
    return b""
