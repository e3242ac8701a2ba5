"""HTML that cannot be broken out of: what is not ``Markup`` is escaped, everywhere, always. Knows no report."""

from __future__ import annotations

import html
from collections.abc import Iterable

from redoubt.formats.text import printable


class Markup(str):
    """Text that is HTML already. Made by ``tag`` and by constants of ours, never from a report's text."""

    __slots__ = ()


Child = str | Markup | None

_VOID = frozenset({"meta", "br", "input"})


def escape(text: str) -> Markup:
    """A text as HTML: nothing in it is a tag, an entity, or an invisible trick."""
    return text if isinstance(text, Markup) else Markup(html.escape(printable(text)))


def join(children: Iterable[Child]) -> Markup:
    """Children one after another; None is nothing."""
    return Markup("".join(escape(child) for child in children if child is not None))


def tag(name: str, /, *children: Child, **attributes: str | bool | None) -> Markup:
    """An element. ``class_`` is ``class``, ``data_x`` is ``data-x``; None or False: no attribute; True: bare."""
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        parts.append(key if value is True else f'{key}="{escape(value)}"')
    head = f"<{' '.join(parts)}>"
    return Markup(head) if name in _VOID else Markup(f"{head}{join(children)}</{name}>")
