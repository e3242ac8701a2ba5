"""Text from an image, made harmless; and its width on a terminal.

Names, versions and paths come from whoever made the image. What could move a cursor, hide or reorder
text is shown as an escape (``\\x1b``, ``\\u202e``) instead of being obeyed.
"""

from __future__ import annotations

import re
import unicodedata

#: DEL, C1 controls, separators, bidirectional and invisible formatting, surrogates, tags, noncharacters.
_INVISIBLE = (
    "\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff"
)
_UNSAFE = re.compile(f"[\x00-\x1f{_INVISIBLE}]")
#: The same without the C0 controls, which JSON escapes by itself and uses for indentation.
INVISIBLE = re.compile(f"[{_INVISIBLE}]")

_MARKDOWN = re.compile(r"[\\`*_\[\]<>!#|~@&$]")
_WEB = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&()*+,;=%-]{1,2000}")


def printable(text: str) -> str:
    """``text`` with everything that a terminal or a reader could be fooled by written as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def width(text: str) -> int:
    """How many terminal columns ``text`` takes: East Asian wide characters two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fold(text: str, columns: int) -> list[str]:
    """``text`` in lines of at most ``columns``, broken at spaces where possible. Nothing but spaces is lost."""
    lines: list[str] = []
    line, used = "", 0
    for word in text.split(" "):
        size = width(word)
        if line and used + 1 + size > columns:
            lines.append(line)
            line, used = "", 0
        elif line:
            line, used = line + " ", used + 1
        while size > columns:
            head = _prefix(word, columns - used)
            lines.append(line + head)
            word, line, used = word[len(head) :], "", 0
            size -= width(head)
        line, used = line + word, used + size
    return [*lines, line] if line or not lines else lines


def shorten(text: str, columns: int) -> str:
    """``text`` with its middle left out where it is wider than ``columns``; its end says most of a path."""
    if width(text) <= columns:
        return text
    head = _prefix(text, max((columns - 1) // 3, 1))
    tail = _prefix(text[::-1], max(columns - 1 - width(head), 1))[::-1]
    return f"{head}…{tail}"


def _prefix(text: str, columns: int) -> str:
    """As many first characters as fit; at least one, so that folding always moves on."""
    used = 0
    for place, character in enumerate(text):
        used += _columns(character)
        if used > columns and place:
            return text[:place]
    return text


def markdown(text: str) -> str:
    """``text`` as it is where Markdown is rendered: no link, no image, no tag, no mention."""
    return _MARKDOWN.sub(r"\\\g<0>", printable(text))


def cut(text: str, length: int) -> str:
    """``text`` in at most ``length`` characters, for formats that refuse longer ones."""
    return text if len(text) <= length else text[: length - 1] + "…"


def count(number: int, noun: str) -> str:
    """``3 packages``, ``1 package``, ``1,204 packages``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def short_digest(digest: str) -> str:
    """``sha256:`` and the first twelve digits, as people compare them."""
    algorithm, colon, digits = digest.partition(":")
    return f"{algorithm}:{digits[:12]}" if colon else digest[:12]


def date(time: str) -> str:
    """The day of an RFC 3339 time."""
    return time[:10]


def web_link(url: str) -> str:
    """``url`` if it is a plain http(s) address that may be made a link; else nothing."""
    return url if _WEB.fullmatch(url) else ""
