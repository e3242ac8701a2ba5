"""SBOMs that others wrote, or we: CycloneDX 1.4 to 1.6 (JSON) and SPDX 2.2 and 2.3 (JSON, or tags) become packages.

``read`` tells them apart by their content. It must not know why an SBOM is read: as a target, or as a file
that lies in an image.
"""

from redoubt.indexer.sbom.gathered import Sbom
from redoubt.indexer.sbom.recognised import may_begin, read, recognise

__all__ = ["Sbom", "may_begin", "read", "recognise"]
