"""Whatever a test here indexes, the report survives being written as an SBOM and read back."""

from support.sboms import indexed

__all__ = ["indexed"]
