"""How reports leave: one small module a format, loaded when it is asked for.

``write(report, "table", out)`` takes index reports and vulnerability reports alike. Output depends on
the report and the options only: the same report gives the same bytes.
"""

from redoubt.formats.interface import Options
from redoubt.formats.output import FORMATS, check, render, write

__all__ = ["FORMATS", "Options", "check", "render", "write"]
