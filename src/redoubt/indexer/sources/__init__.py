"""Where images come from: a target as a person types it becomes an ``ImageSource``.

Forms: ``registry:NAME`` or ``docker://NAME``, ``docker-archive:PATH[:TAG]``, ``oci-archive:PATH[:NAME]``,
``oci-dir:PATH[:NAME]``, ``dir:PATH``, ``sbom:PATH``; without a prefix, what lies at the path decides, and what can
be no path is a name in a registry. Nothing is contacted before ``resolve``.
"""

from redoubt.indexer.sources.interface import ImageSource, LayerBlob, ResolvedImage
from redoubt.indexer.sources.options import SourceOptions
from redoubt.indexer.sources.reference import ImageReference, parse_reference
from redoubt.indexer.sources.target import open_source

__all__ = [
    "ImageReference",
    "ImageSource",
    "LayerBlob",
    "ResolvedImage",
    "SourceOptions",
    "open_source",
    "parse_reference",
]
