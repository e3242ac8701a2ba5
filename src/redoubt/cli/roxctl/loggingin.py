"""``roxctl central login``: by a browser that comes back with a token, or by a token that is pasted.

The listener is on this machine's loopback only, answers one path that nobody can guess, and ends with the login.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from urllib.parse import parse_qs, urlencode, urlsplit

import click
import msgspec

from redoubt.cli.console import Console, clean
from redoubt.cli.roxctl import connection, credentials, logins, settings
from redoubt.cli.roxctl.asking import WhoAmI
from redoubt.cli.roxctl.connection import Central
from redoubt.cli.roxctl.logins import Login, Logins
from redoubt.errors import AccessDenied, NetworkError, UsageError

_TIME = 300.0
_REQUEST = 64 << 10
#: Seconds for a browser to send what it has to say.
_SLOW = 10.0
_BASIC = "basic"
_PAGE = (
    "<!doctype html><meta charset=utf-8><title>roxctl</title>"
    "<p>{}</p><p>You can close this window and go back to the terminal.</p>"
)


class _Provider(msgspec.Struct):
    name: str = ""
    type: str = ""


class _Providers(msgspec.Struct, rename="camel"):
    auth_providers: tuple[_Provider, ...] = ()


def login(ctx: click.Context, *, paste: bool) -> None:
    """Get a token, see whether it counts, and file it. Raises ``AccessDenied`` where it does not."""
    console = Console()
    with connection.central(ctx, console, timeout=_TIME, anonymous=True) as central:
        by_page = any(
            one.type != _BASIC for one in central.get("/v1/login/authproviders", _Providers).auth_providers
        )
        if by_page and not paste and _browser():
            got = asyncio.run(_by_browser(central))
        else:
            got = _pasted(central, paste=paste, by_page=by_page)
        central.credentials = credentials.bearer(got.access_token, "the token that was given")
        who = central.get("/v1/auth/status", WhoAmI)
        endpoint = central.settings.endpoint.name
    expires = got.expires_at or _instant(who.expires or "")
    shelf = Logins(settings.config_dir())
    shelf.store(endpoint, msgspec.structs.replace(got, issued_at=logins.now(), expires_at=expires))
    name = (who.user_info.friendly_name or who.user_info.username) if who.user_info else who.user_id or ""
    until = f", until {expires:%Y-%m-%d %H:%M} UTC" if expires else ""
    click.echo(clean(f"Logged in to {endpoint} as {name}{until}; kept in {shelf.path}"))


def _pasted(central: Central, *, paste: bool, by_page: bool) -> Login:
    """A token from the terminal, unseen, or from standard input."""
    if not sys.stdin.isatty():
        text = sys.stdin.readline().strip()
        if not text:
            raise UsageError("standard input holds no token; pipe one in, or run this in a terminal")
    else:
        if not paste:
            reason = "there is no browser here" if by_page else "this Central has no page to log in by"
            click.echo(f"{reason}: paste an API token (made with POST /v1/apitokens/generate).", err=True)
        text = click.prompt("API token", hide_input=True, err=True).strip()
    credentials.bearer(text, "what was given")
    return Login(access_token=text)


def _browser() -> bool:
    """Whether a browser can be opened for a person to see."""
    import webbrowser

    if not (os.environ.get("BROWSER") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return sys.platform == "darwin"
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


async def _by_browser(central: Central) -> Login:
    """Send a browser to Central and wait until it comes back with a token."""
    import webbrowser

    visit = _Visit(central.settings.endpoint.url)
    server = await asyncio.start_server(visit.answer, "127.0.0.1", 0, limit=_REQUEST)
    async with server:
        port = server.sockets[0].getsockname()[1]
        visit.here = f"http://127.0.0.1:{port}"
        click.echo(
            f"Log in with the browser. If no window opens, go to\n\t{visit.here}{visit.begin}", err=True
        )
        await asyncio.to_thread(webbrowser.open, visit.here + visit.begin)
        try:
            return await asyncio.wait_for(visit.done, central.timeout)
        except TimeoutError:
            raise NetworkError(
                f"nobody logged in within {central.timeout:.0f} s; give it more with --timeout, or use --paste"
            ) from None


class _Visit:
    """The two pages of the listener: one leads to Central, the other takes what Central sends back."""

    def __init__(self, central: str) -> None:
        self._central = central
        secret = secrets.token_urlsafe(24)
        self.here = ""
        self.begin = f"/login/{secret}"
        self._back = f"/callback/{secret}"
        self.done: asyncio.Future[Login] = asyncio.get_running_loop().create_future()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, whatever it is."""
        with suppress(
            OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, ValueError
        ):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _SLOW)
            line, _, rest = head.decode("latin-1").partition("\r\n")
            method, target, _ = line.split(" ", 2)
            status, headers, body = self._page(method, target, _host(rest))
            lines = [f"HTTP/1.1 {status}", "Connection: close", "Cache-Control: no-store", *headers]
            lines += ["Content-Type: text/html; charset=utf-8", f"Content-Length: {len(body)}", "", ""]
            writer.write("\r\n".join(lines).encode() + body)
            await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    def _page(self, method: str, target: str, host: str) -> tuple[str, list[str], bytes]:
        path, _, query = target.partition("?")
        # A name that somebody else's page resolves to this machine is not ours.
        if method != "GET" or host != urlsplit(self.here).netloc:
            return "400 Bad Request", [], b""
        if secrets.compare_digest(path.encode(), self.begin.encode()):
            back = urlencode({"authorizeCallback": self.here + self._back})
            return "303 See Other", [f"Location: {self._central}/authorize-roxctl#{back}"], b""
        if not secrets.compare_digest(path.encode(), self._back.encode()):
            return "404 Not Found", [], b""
        return self._came_back({name: values[0] for name, values in parse_qs(query).items()})

    def _came_back(self, said: Mapping[str, str]) -> tuple[str, list[str], bytes]:
        if self.done.done():
            return "409 Conflict", [], b""
        if error := said.get("error"):
            reason = clean(f"{error}: {said.get('errorDescription', '')}".rstrip(": "))[:300]
            self.done.set_exception(AccessDenied(f"Central did not let you in ({reason}); try again"))
            return "400 Bad Request", [], _PAGE.format("The login failed.").encode()
        if not (token := said.get("token", "")):
            self.done.set_exception(
                NetworkError("Central's page sent no token back; try again, or use --paste")
            )
            return "400 Bad Request", [], _PAGE.format("The login failed: there was no token.").encode()
        self.done.set_result(
            Login(
                access_token=token,
                refresh_token=said.get("refreshToken", ""),
                expires_at=_instant(said.get("expiresAt", "")),
            )
        )
        return "200 OK", [], _PAGE.format("You are logged in.").encode()


def _host(headers: str) -> str:
    for line in headers.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "host":
            return value.strip()
    return ""


def _instant(text: str) -> datetime | None:
    """A moment with a zone, or None."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
