"""The errors of this room. Apart from the package's front door so that scheme modules can raise them."""

from __future__ import annotations

from typing import Self

_SHOWN = 60


class _Refused(ValueError):
    """``str(error)`` is one line that shows the beginning of a text."""

    _what = ""

    def __init__(self, scheme: str, text: str, reason: str = "") -> None:
        shown = ascii(text[:_SHOWN]) + ("…" if len(text) > _SHOWN else "")
        super().__init__(f"not a {scheme} {self._what}: {shown}" + (f" ({reason})" if reason else ""))
        self.scheme = scheme
        self._text = text
        self._reason = reason

    def __reduce__(self) -> tuple[type[Self], tuple[str, str, str]]:
        return type(self), (self.scheme, self._text, self._reason)


class InvalidVersion(_Refused):
    """Text outside a scheme's grammar. ``str(error)`` is one line; ``version`` is the whole text."""

    _what = "version"

    @property
    def version(self) -> str:
        return self._text


class InvalidRange(_Refused):
    """An expression that says no range. ``str(error)`` is one line; ``expression`` is the whole text."""

    _what = "range"

    @property
    def expression(self) -> str:
        return self._text
