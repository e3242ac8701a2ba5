"""What ``roxctl central`` asks of Central in one call, and how the answers are shown."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlencode

import click
import msgspec

from redoubt.cli.console import Console, clean
from redoubt.cli.roxctl import connection
from redoubt.errors import NetworkError, UsageError

_MINUTE = 60.0
#: Seconds that an export may stand still.
_STILL = 600.0
#: The largest line of an export: one image with all of its findings.
_LINE = 256 << 20
_ACCESS = {"READ_WRITE_ACCESS": "rw", "READ_ACCESS": "r-"}


class _Role(msgspec.Struct):
    name: str = ""


class _User(msgspec.Struct, rename="camel"):
    username: str = ""
    friendly_name: str = ""
    roles: tuple[_Role, ...] = ()


class _Service(msgspec.Struct):
    id: str = ""
    type: str = ""


class WhoAmI(msgspec.Struct, rename="camel"):
    """``/v1/auth/status``."""

    user_id: str | None = None
    service_id: _Service | None = None
    expires: str | None = None
    user_info: _User | None = None


class _Permissions(msgspec.Struct, rename="camel"):
    resource_to_access: dict[str, str] = {}


class _Level(msgspec.Struct):
    module: str = ""
    level: str = ""


class _Levels(msgspec.Struct, rename="camel"):
    level: str = ""
    module_levels: tuple[_Level, ...] = ()


class _Error(msgspec.Struct):
    message: str = ""


class _Exported(msgspec.Struct):
    """A message of a stream, as grpc-gateway wraps it, or an error in the midst of it."""

    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: _Error | None = None


def whoami(ctx: click.Context) -> None:
    """``roxctl central whoami``."""
    with connection.central(ctx, Console(), timeout=_MINUTE) as central:
        who = central.get("/v1/auth/status", WhoAmI)
        may = central.get("/v1/mypermissions", _Permissions).resource_to_access
    user = who.user_info or _User()
    identifier = who.user_id or (who.service_id.id if who.service_id else "")
    click.echo(f"UserID:\n\t{clean(identifier)}")
    click.echo(f"User name:\n\t{clean(user.friendly_name or user.username)}")
    if who.expires:
        click.echo(f"Valid until:\n\t{clean(who.expires)}")
    click.echo("Roles:")
    for role in user.roles:
        click.echo(f"\t- {clean(role.name)}")
    click.echo("Access:")
    for resource in sorted(may):
        click.echo(f"\t{_ACCESS.get(may[resource], '--')} {clean(resource)}")


def certificate(ctx: click.Context, output: str) -> None:
    """``roxctl central cert``."""
    console = Console()
    with connection.central(ctx, console, timeout=_MINUTE, anonymous=True) as central:
        if central.settings.endpoint.plaintext:
            raise UsageError("without TLS there is no certificate; leave --plaintext out")
        try:
            with central.send("GET", "/v1/ping") as response:
                der = response.certificate
        except connection.Refused:
            raise NetworkError(
                f"{central.settings.endpoint.name} did not answer as Central does; is it the right server?"
            ) from None
    if not der:
        raise NetworkError("the server showed no certificate")
    pem, lines = _described(der)
    for line in lines:
        console.notice(line)
    if output == "-":
        sys.stdout.buffer.write(pem)
        sys.stdout.buffer.flush()
        return
    from redoubt.definitions import durable

    with durable.writing(Path(output)):
        durable.replace(Path(output), pem)


def _described(der: bytes) -> tuple[bytes, list[str]]:
    """The certificate in PEM, and what is worth knowing of it."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    # RFC 4514 has no word for it.
    names = {NameOID.SERIAL_NUMBER: "serialNumber"}
    found = x509.load_der_x509_certificate(der)
    return found.public_bytes(Encoding.PEM), [
        f"subject {clean(found.subject.rfc4514_string(names))}",
        f"issuer {clean(found.issuer.rfc4514_string(names))}",
        f"valid from {found.not_valid_before_utc:%Y-%m-%d %H:%M} until {found.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
        f"SHA-256 fingerprint {found.fingerprint(SHA256()).hex(':').upper()}",
    ]


def export_images(ctx: click.Context) -> None:
    """``roxctl central export images``."""
    out = sys.stdout.buffer
    with connection.central(ctx, Console(), timeout=_STILL) as central:
        told = central.settings.timeout
        path = "/v1/export/images" + (f"?{urlencode({'timeout': round(told)})}" if told else "")
        with central.send("GET", path) as response:
            for line in _lines(central.in_time(response.chunks(), "the export"), response.where):
                out.write(line + b"\n")
    out.flush()


def _lines(chunks: Iterator[bytes], where: str) -> Iterator[bytes]:
    """Each message of a stream, on one line. Raises ``NetworkError`` for what is none, and where Central says so."""
    left = bytearray()
    for chunk in chunks:
        left += chunk
        *whole, rest = left.split(b"\n")
        for line in whole:
            if line.strip():
                yield _message(line, where)
        left = rest
        if len(left) > _LINE:
            raise NetworkError(f"{where}: a line is longer than {_LINE >> 20} MiB; this is no export")
    if left.strip():
        yield _message(left, where)


def _message(line: bytes | bytearray, where: str) -> bytes:
    try:
        found = msgspec.json.decode(line, type=_Exported)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NetworkError(f"{where}: what arrives is no export; is this Central?") from None
    if found.error is not None:
        raise NetworkError(f"the export broke off: {clean(found.error.message)}; give the command again")
    return bytes(line if isinstance(found.result, msgspec.UnsetType) else found.result).strip()


def log_level(ctx: click.Context, level: str | None, modules: Sequence[str]) -> None:
    """``roxctl central debug log``."""
    with connection.central(ctx, Console(), timeout=_MINUTE) as central:
        if level is not None:
            central.ask("PATCH", "/v1/debug/loglevel", {"level": level, "modules": modules}, msgspec.Raw)
            click.echo("Successfully set log level")
            return
        query = "?" + urlencode({"modules": list(modules)}, doseq=True) if modules else ""
        found = central.get(f"/v1/debug/loglevel{query}", _Levels)
    if found.level:
        click.echo(f"Current log level is {clean(found.level)}")
    if found.module_levels:
        from redoubt.cli.redoubt.definitions import print_columns

        print_columns([("MODULE", "LEVEL"), *((one.module, one.level) for one in found.module_levels)])
