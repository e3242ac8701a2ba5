"""Texts that people give to be matched: regular expressions, beginnings, exact words, path patterns. Pure.

The original takes expressions for Go's ``regexp``, which is RE2's syntax and its promise: time grows with the text and
nothing else. So RE2 itself decides here, whatever the expression. Most of them are words with ``|`` between, or one
``.*``; those are told apart and cost less. No case counts, and a whole text has to match, as in the original.

Rules: StackRox's ``pkg/regexutils`` and ``pkg/search/predicate/basematchers``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence

from redoubt.errors import UsageError

#: An expression longer than this is refused.
LONGEST = 20_000

#: A text that says whether it matches.
Matcher = Callable[[str], bool]

_WORDS = re.compile(r"(?:[A-Za-z0-9_/ :@%,~<>=!#&'\";-]|\\[.+*?()\[\]{}^$|/\-])*")
_LITERAL = r"[A-Za-z0-9_/ :@%,~<>=!#&'\";-]|\\[.+*?()\[\]{}^$|/\-]|\\[dw]|\[\^?[A-Za-z0-9_./@ -]+\]"
#: A branch with at most one repetition that has no bound, and no group: Python's own matcher cannot run away on it.
_BRANCH = rf"(?:(?:{_LITERAL}|\.)\??)*(?:(?:{_LITERAL}|\.)[*+](?:(?:{_LITERAL}|\.)\??)*)?"
_PLAIN = re.compile(rf"{_BRANCH}(?:\|{_BRANCH})*")
#: Brackets around all of it, and none within.
_GROUPED = re.compile(r"\(([^()\\?][^()\\]*)\)")
#: Python's matcher is asked about texts up to here only.
_SHORT = 4096
_REMEMBERED = 64
#: What is plain is looked for in expressions up to this length.
_PLAIN_LENGTH = 2048


class BadPattern(UsageError):
    """An expression that RE2 does not take. The message says why."""


def always(_: str) -> bool:
    """Whatever the text."""
    return True


def whole(expression: str) -> Matcher:
    """``CompileWholeStringMatcher``: the text as a whole matches; an empty expression matches every text.

    Raises :class:`BadPattern`.
    """
    if not expression:
        return always
    if len(expression) > LONGEST:
        raise BadPattern(f"an expression has {len(expression)} characters; at most {LONGEST} are read")
    return _whole(expression)


@functools.lru_cache(maxsize=4096)
def _whole(expression: str) -> Matcher:
    exact = _re2(expression)
    if len(expression) > _PLAIN_LENGTH:
        return exact.whole
    inner = _GROUPED.fullmatch(expression)
    if inner is not None:
        expression = inner[1]
    if (words := _words(expression)) is not None:
        return _Words(words, exact.whole)
    if (parts := _parts(expression)) is not None:
        return _within(parts, exact.whole)
    if _PLAIN.fullmatch(expression) is not None:
        return _by_python(expression, exact)
    return exact.whole


def contained(expression: str) -> Matcher:
    """``CompileContainsStringMatcher``: the expression is somewhere in the text.

    Raises :class:`BadPattern`.
    """
    if not expression:
        return always
    if len(expression) > LONGEST:
        raise BadPattern(f"an expression has {len(expression)} characters; at most {LONGEST} are read")
    return _re2(expression).somewhere


def term(value: str) -> Matcher:
    """``ForString``: what a value means where it is not taken for an expression at once.

    ``!`` before it turns it round; ``r/`` is an expression; quotes mean that text and no other; ``g/`` is a path
    pattern; ``*`` is everything; all else is how the text begins.
    """
    if value.startswith("!"):
        inner = term(value[1:])
        return lambda text: not inner(text)
    if value.startswith("r/"):
        rest = value[2:]
        return contained(rest[2:]) if rest.startswith("c/") else whole(rest)
    if len(value) > 2 and value[0] == '"' == value[-1]:
        return exactly(value[1:-1])
    if value.startswith("g/"):
        return path_pattern(value[2:])
    if value == "*":
        return always
    beginning = value.lower()
    return lambda text: text.lower().startswith(beginning)


def exactly(word: str) -> Matcher:
    """That text, in whatever case."""
    wanted = word.lower()
    return lambda text: text.lower() == wanted


def any_of(matchers: Sequence[Matcher]) -> Matcher:
    """One of them; words are looked up all at once."""
    if len(matchers) == 1:
        return matchers[0]
    known = [matcher for matcher in matchers if isinstance(matcher, _Words)]
    plain = [matcher for matcher in matchers if isinstance(matcher, _Plain)]
    others = [matcher for matcher in matchers if not isinstance(matcher, _Words | _Plain)]
    for kind in (known, plain):
        if len(kind) == 1:
            others += kind
    if len(known) > 1:
        exact = [matcher.exact for matcher in known]
        together = _Words(
            frozenset().union(*(matcher.words for matcher in known)),
            lambda text: any(each(text) for each in exact),
        )
        others.append(together)
    if len(plain) > 1:
        others.append(_Plain.together(plain))
    if len(others) == 1:
        return others[0]
    return lambda text: any(matcher(text) for matcher in others)


def remembered(matcher: Matcher) -> Matcher:
    """The same, for texts of which there are few: the first are remembered."""
    known: dict[str, bool] = {}

    def matches(text: str) -> bool:
        answer = known.get(text)
        if answer is None:
            answer = matcher(text)
            if len(known) < _REMEMBERED and len(text) <= _REMEMBERED:
                known[text] = answer
        return answer

    return matches


def path_pattern(pattern: str) -> Matcher:
    """A path pattern (``doublestar``): ``*`` and ``?`` stay within a name, ``**`` crosses them, ``{a,b}`` and ``[a-z]``.

    Case counts. Raises :class:`BadPattern` where the pattern is none.
    """
    if len(pattern) > LONGEST:
        raise BadPattern(f"a path pattern has {len(pattern)} characters; at most {LONGEST} are read")
    return _re2(_translated(pattern), case=True).whole


def words_of(matcher: Matcher) -> frozenset[str] | None:
    """The words, in small letters, one of which a matcher wants; None where it wants more than that."""
    return matcher.words if isinstance(matcher, _Words) else None


class _Words:
    """One of some words, in whatever case. What is not ASCII has cases that only RE2 knows (``K`` is also U+212A)."""

    __slots__ = ("exact", "words")

    def __init__(self, words: frozenset[str], exact: Matcher) -> None:
        self.words = words
        self.exact = exact

    def __call__(self, text: str) -> bool:
        return text.lower() in self.words if text.isascii() else self.exact(text)


def _words(expression: str) -> frozenset[str] | None:
    """The words of an expression that is nothing but words with ``|`` between them."""
    pieces = re.split(r"(?<!\\)\|", expression)
    if any(_WORDS.fullmatch(piece) is None for piece in pieces):
        return None
    return frozenset(re.sub(r"\\(.)", r"\1", piece).lower() for piece in pieces)


def _parts(expression: str) -> tuple[str, ...] | None:
    """The words of an expression that is nothing but ``.*word.*`` with ``|`` between, in small letters."""
    pieces = re.split(r"(?<!\\)\|", expression)
    found = [piece[2:-2] for piece in pieces if piece.startswith(".*") and piece.endswith(".*")]
    if len(found) != len(pieces) or any(_WORDS.fullmatch(word) is None for word in found):
        return None
    return tuple(re.sub(r"\\(.)", r"\1", word).lower() for word in found)


def _within(parts: tuple[str, ...], exact: Matcher) -> Matcher:
    """Whether one of them is in a text. A line's end is not in ``.*``, and what is not ASCII has cases that only RE2 knows."""

    def matches(text: str) -> bool:
        if not text.isascii() or "\n" in text:
            return exact(text)
        small = text.lower()
        for part in parts:  # noqa: SIM110  half the time of any()
            if part in small:
                return True
        return False

    return matches


class _Plain:
    """An expression that Python's own matcher answers for short texts of ASCII, and RE2 for all others."""

    __slots__ = ("_match", "exact", "expression")

    def __init__(self, expression: str, exact: Matcher) -> None:
        self.expression = expression
        self.exact = exact
        self._match = re.compile(expression, re.IGNORECASE | re.ASCII).fullmatch

    @classmethod
    def together(cls, some: Sequence[_Plain]) -> _Plain:
        """One of them."""
        exact = [each.exact for each in some]
        return cls("|".join(each.expression for each in some), lambda text: any(one(text) for one in exact))

    def __call__(self, text: str) -> bool:
        if len(text) <= _SHORT and text.isascii():
            return self._match(text) is not None
        return self.exact(text)


def _by_python(expression: str, exact: _Re2) -> Matcher:
    try:
        return _Plain(expression, exact.whole)
    except re.error:  # a range the wrong way round, say: RE2 took it or has refused it
        return exact.whole


class _Re2:
    """An expression of RE2's. Texts are given as UTF-8."""

    __slots__ = ("_match", "_search")

    def __init__(self, expression: str, *, case: bool) -> None:
        import re2  # takes 15 ms, and a scan on the spot has no policies

        options = re2.Options()
        options.case_sensitive = case
        options.log_errors = False
        options.never_capture = True
        try:
            compiled = re2.compile(expression.encode(), options)
        except re2.error as error:
            reason = error.args[0] if error.args else ""
            shown = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
            raise BadPattern(f"not a regular expression of RE2: {shown[:200]}") from None
        except UnicodeEncodeError:
            raise BadPattern("not a regular expression of RE2: it is no text") from None
        self._match = compiled.fullmatch
        self._search = compiled.search

    def whole(self, text: str) -> bool:
        return self._match(text.encode(errors="replace")) is not None

    def somewhere(self, text: str) -> bool:
        return self._search(text.encode(errors="replace")) is not None


@functools.lru_cache(maxsize=4096)
def _re2(expression: str, *, case: bool = False) -> _Re2:
    return _Re2(expression, case=case)


def _translated(pattern: str) -> str:
    """A path pattern as an expression."""
    out: list[str] = []
    depth = 0
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        if pattern.startswith("/**", at) and at + 3 == len(pattern):
            out.append("(?:/.*)?")  # the folder itself, too
            break
        if pattern.startswith("**", at):
            alone = (at == 0 or pattern[at - 1] == "/") and (at + 2 == len(pattern) or pattern[at + 2] == "/")
            if alone and at + 2 < len(pattern):
                out.append("(?:.*/)?")  # also no folder at all
                at += 3
                continue
            out.append(".*" if alone else "[^/]*")
            at += 2
            continue
        if sign == "*":
            out.append("[^/]*")
        elif sign == "?":
            out.append("[^/]")
        elif sign == "{":
            depth += 1
            out.append("(?:")
        elif sign == "}" and depth:
            depth -= 1
            out.append(")")
        elif sign == "," and depth:
            out.append("|")
        elif sign == "[":
            end = pattern.find("]", at + 2)
            if end < 0:
                raise BadPattern("path contains invalid wildcard pattern")
            inner = pattern[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            out.append("[" + ("^" + inner[1:] if inner[0] in "!^" else inner) + "]")
            at = end
        elif sign == "\\":
            if at + 1 == len(pattern):
                raise BadPattern("path contains invalid wildcard pattern")
            at += 1
            out.append(re.escape(pattern[at]))
        else:
            out.append(re.escape(sign))
        at += 1
    if depth:
        raise BadPattern("path contains invalid wildcard pattern")
    return "".join(out).replace(".*", "(?s:.*)")
