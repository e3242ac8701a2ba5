"""Erlang's and Elixir's packages: ``mix.lock``, ``rebar.lock``, and the applications of a release.

A release holds each application below ``lib``, with a resource file ``ebin/NAME.app`` that names it and its version
(``app(4)`` of Erlang/OTP). All three are read for the terms that matter, by patterns; nothing is evaluated. What
comes with Erlang/OTP and Elixir themselves is not of hex.pm and is left out.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers import lockfiles
from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_MIX = re.compile(r'[ \t]*"([^"]{1,200})": ?\{:(hex|git), ?(?::"?([\w-]{1,200})"?, ?"([^"]{1,100})")?').match
_REBAR = re.compile(
    r'<<"([^"]{1,200})">>,[ \t\r\n]{0,99}\{(?:(pkg),[ \t\r\n]{0,99}<<"([^"]{1,200})">>,[ \t\r\n]{0,99}<<"([^"]{1,100})">>'
    r"|git,|git_subdir,|hg,)"
).finditer
_APPLICATION = re.compile(
    rb"\{[ \t\r\n]{0,99}application[ \t\r\n]{0,99},[ \t\r\n]{0,99}'?([\w@]{1,200})'?"
).search
_VERSION = re.compile(rb'\{[ \t\r\n]{0,99}vsn[ \t\r\n]{0,99},[ \t\r\n]{0,99}"([^"]{1,100})"').search
_HEAD = 1 << 16
_WITH_ERLANG = frozenset(
    # Erlang/OTP
    "asn1 common_test compiler crypto debugger dialyzer diameter edoc eldap erl_interface erts et eunit ftp "  # noqa: SIM905
    "inets jinterface kernel megaco mnesia observer odbc os_mon parsetools public_key reltool runtime_tools "
    "sasl snmp ssh ssl stdlib syntax_tools tftp tools wx xmerl "
    # Elixir
    "elixir eex ex_unit iex logger mix".split()
)


class HexLockCataloger:
    """``mix.lock`` and ``rebar.lock``, but for those inside of fetched packages."""

    name = "hex-lock"
    version = 1
    wanted = Wanted(names=frozenset({b"mix.lock", b"rebar.lock"}), max_size=8 << 20, declared=True)

    def accepts(self, path: bytes) -> bool:
        """Whether the file is an application's."""
        return lockfiles.counts(path) and b"/deps/" not in path

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every package; those of a repository without a version."""
        found = Findings()
        text = content.all().decode("utf-8", "replace")
        mix = path.endswith("mix.lock")
        matches = filter(None, map(_MIX, text.split("\n"))) if mix else _REBAR(text.partition("pkg_hash")[0])
        for match in matches:
            found.add("hex", clean(match[3] or match[1]), clean(match[4] or ""))
            if found.full:
                break
        if not text.lstrip().startswith(("%{", "{", "[")):
            found.damaged("not as Mix or Rebar writes it; packages may be missing")
        return found.catalog()


class ErlangCataloger:
    """``lib/NAME/ebin/NAME.app`` of releases and of what was built."""

    name = "erlang"
    version = 1
    wanted = Wanted(extensions=frozenset({b".app"}), max_size=1 << 20)

    def accepts(self, path: bytes) -> bool:
        """Whether the file lies where Erlang loads applications from, and is not of Erlang/OTP or Elixir."""
        folder, _, name = path.rpartition(b"/")
        return (
            folder.endswith(b"/ebin") and name[: -len(b".app")].decode("ascii", "replace") not in _WITH_ERLANG
        )

    def catalog(self, path: str, content: Content) -> Catalog:
        """The application. One without a version, or whose version is not text, is left alone."""
        found = Findings()
        head = content.read(0, _HEAD)
        name, version = _APPLICATION(head), _VERSION(head)
        if name is None:
            found.damaged("no application in it")
        elif version:
            found.add("hex", clean(name[1]), clean(version[1]))
        return found.catalog()
