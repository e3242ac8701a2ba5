"""How a registry asks who is there: the challenges of ``WWW-Authenticate``, and the header that answers one.

Sources of the rules: RFC 9110 section 11 (challenges), RFC 7617 (Basic), the distribution project's token and
OAuth2 documents (``spec/auth/token.md``, ``spec/auth/oauth.md``). It must not know what is asked for.
"""

from __future__ import annotations

import base64
import re
from urllib.parse import urlencode, urlsplit

import msgspec

from redoubt import egress
from redoubt.errors import AccessDenied, NetworkError
from redoubt.indexer.sources.credentials import Credentials

_MAX_TOKEN = 1 << 20
_CLIENT_ID = "redoubt"
_SCHEME = re.compile(r"\s*+,?\s*+([A-Za-z0-9!#$%&'*+.^_`|~-]+)(?=\s|,|\Z)")
_PARAMETER = re.compile(
    r"\s*+,?\s*+([A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([A-Za-z0-9!#$%&'*+.^_`|~/:-]+))"
)
_VISIBLE = re.compile(r"[\x21-\x7e]+\Z")


class Challenge(msgspec.Struct, frozen=True):
    """One way to be let in: ``scheme`` lower-case, with its parameters."""

    scheme: str
    parameters: dict[str, str]


class _Token(msgspec.Struct, frozen=True):
    token: str = ""
    access_token: str = ""


def read_challenges(headers: list[str]) -> list[Challenge]:
    """The challenges in ``WWW-Authenticate`` headers; what is outside the grammar ends the reading."""
    found = []
    for header in headers:
        at = 0
        text = header[:8192]
        while (scheme := _SCHEME.match(text, at)) is not None:
            at = scheme.end()
            parameters: dict[str, str] = {}
            while (parameter := _PARAMETER.match(text, at)) is not None:
                name, quoted, bare = parameter.groups()
                value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
                parameters.setdefault(name.lower(), value)
                at = parameter.end()
            found.append(Challenge(scheme[1].lower(), parameters))
    return found


def answer(
    client: egress.Client,
    challenges: list[Challenge],
    credentials: Credentials | None,
    scope: str,
    scheme: str,
) -> str:
    """The ``Authorization`` header for the first challenge that can be met; empty where none can.

    ``scope`` is what is asked for where the challenge names none; ``scheme`` is how the registry itself is
    reached: credentials for one reached by https are never sent by http.
    """
    for challenge in challenges:
        if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
            return f"Bearer {_token(client, challenge.parameters, credentials, scope, scheme)}"
        if challenge.scheme == "basic" and credentials is not None and credentials.username:
            return _basic(credentials)
    return ""


def _token(
    client: egress.Client,
    parameters: dict[str, str],
    credentials: Credentials | None,
    scope: str,
    scheme: str,
) -> str:
    realm = parameters["realm"]
    where = egress.scrub(realm)
    try:
        realm_scheme = urlsplit(realm).scheme
    except ValueError:
        realm_scheme = ""
    if realm_scheme not in ("http", "https"):
        raise NetworkError(f"the registry names a token service that is no address ({where})")
    if scheme == "https" and realm_scheme != "https" and credentials is not None:
        raise AccessDenied(f"{where}: the registry wants your credentials sent there unprotected; refused")
    asked = {"service": parameters.get("service", ""), "scope": parameters.get("scope") or scope}
    asked = {key: value for key, value in asked.items() if value}

    def once() -> bytes:
        with _ask(client, realm, asked, credentials) as response:
            if response.status in (400, 401, 403):
                known = "the credentials were refused" if credentials else "no token without credentials"
                raise AccessDenied(f"{where}: {known}; log in again with 'docker login' or 'podman login'")
            if response.status != 200:
                raise NetworkError(f"{where}: the token service answered {response.status}")
            return response.read(_MAX_TOKEN, decoded=True)

    try:
        given = msgspec.json.decode(client.again(once), type=_Token)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise NetworkError(f"{where}: the token service's answer cannot be read") from None
    token = given.token or given.access_token
    if not _VISIBLE.match(token):
        raise NetworkError(f"{where}: the token service gave no usable token")
    return token


def _ask(
    client: egress.Client, realm: str, asked: dict[str, str], credentials: Credentials | None
) -> egress.Response:
    if credentials is not None and credentials.identity_token:
        form = {
            "grant_type": "refresh_token",
            "client_id": _CLIENT_ID,
            "refresh_token": credentials.identity_token,
        }
        return client.send(realm, method="POST", form=form | asked)
    headers = {"Authorization": _basic(credentials)} if credentials is not None else {}
    joint = "&" if "?" in realm else "?"
    return client.send(realm + joint + urlencode(asked) if asked else realm, headers=headers)


def _basic(credentials: Credentials) -> str:
    both = f"{credentials.username}:{credentials.password}".encode()
    return "Basic " + base64.b64encode(both).decode()
