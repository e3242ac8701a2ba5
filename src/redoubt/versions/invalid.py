"""The one error of this room. Apart from the package's front door so that scheme modules can raise it."""

from __future__ import annotations

_SHOWN = 60


class InvalidVersion(ValueError):
    """Text outside a scheme's grammar. ``str(error)`` is one line; ``version`` is the whole text."""

    def __init__(self, scheme: str, version: str) -> None:
        shown = ascii(version[:_SHOWN]) + ("…" if len(version) > _SHOWN else "")
        super().__init__(f"not a {scheme} version: {shown}")
        self.scheme = scheme
        self.version = version

    def __reduce__(self) -> tuple[type[InvalidVersion], tuple[str, str]]:
        return InvalidVersion, (self.scheme, self.version)
