"""``redoubt certificates``: the CA of the services, what it issues, and how another CA takes its place."""

from __future__ import annotations

from pathlib import Path

import click

from redoubt.cli.console import Console
from redoubt.cli.entry import HELP, LazyGroup
from redoubt.errors import AccessDenied, UnreadableInput, UsageError

_HERE = "redoubt.cli.redoubt.certificates"

_COMMANDS = {
    "init": (f"{_HERE}:init", "Make the CA, or say that it is there."),
    "issue": (f"{_HERE}:issue", "Issue a service's certificate into a folder."),
    "show": (f"{_HERE}:show", "Show whom certificates are of, and when they end."),
    "trust": (f"{_HERE}:trust", "Write the CAs to trust into services' folders."),
    "stage": (f"{_HERE}:stage", "Make the CA to come."),
    "switch": (f"{_HERE}:switch", "Sign with the CA to come."),
    "retire": (f"{_HERE}:retire", "Trust the CA of before no more."),
}

_folder = click.argument("ca", type=click.Path(path_type=Path, file_okay=False))
_folders = click.argument("folders", type=click.Path(path_type=Path, file_okay=False, exists=True), nargs=-1)


@click.group(cls=LazyGroup, commands_at=_COMMANDS, context_settings=HELP)
def certificates() -> None:
    """The CA that says who is Central, Indexer and Matcher. `redoubt up` does all of this by itself.

    \b
    redoubt certificates init ca
    redoubt certificates issue ca central central-certs
    redoubt certificates issue ca scanner-v4-matcher matcher-certs --host matcher.site.example

    Running services read their folders again by themselves. Another CA takes the place of this one in three
    steps; after each the folders of all services have to have the CAs to trust:

    \b
    redoubt certificates stage ca       then: trust ca FOLDER...
    redoubt certificates switch ca      then: trust ca FOLDER..., and issue every certificate anew
    redoubt certificates retire ca      then: trust ca FOLDER...
    """


@click.command(context_settings=HELP)
@_folder
def init(ca: Path) -> None:
    """Make a CA in the folder CA: ca.pem, and ca-key.pem, which nobody else may read."""
    from redoubt.wire.authority import Authority

    try:
        authority = Authority.create(ca)
    except OSError as error:
        raise AccessDenied(f"{ca}: cannot be written ({error.strerror})") from None
    Console().notice(f"{ca / 'ca.pem'} is valid until {authority.expires:%Y-%m-%d}")


@click.command(context_settings=HELP)
@_folder
@click.argument("service")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--host", "host", multiple=True, help="Another name or address that it is reached by. Repeatable."
)
@click.option("--identifier", default="", help="Its identifier: of a Sensor, the cluster's id.")
@click.option("--namespace", default="stackrox", show_default=True, help="The namespace that it runs in.")
@click.option(
    "--days",
    default=365.0,
    show_default=True,
    type=click.FloatRange(0.01, 3650),
    help="How long it is valid.",
)
def issue(
    ca: Path, service: str, folder: Path, host: tuple[str, ...], identifier: str, namespace: str, days: float
) -> None:
    """Issue a certificate for SERVICE into FOLDER: cert.pem, key.pem, and ca.pem with the CAs to trust.

    SERVICE is central, scanner-v4-indexer, scanner-v4-matcher, scanner-v4 (both in one), sensor, collector,
    admission-control, central-db, scanner-v4-db or another that StackRox has.
    """
    from redoubt.wire.authority import Authority
    from redoubt.wire.identity import Service

    known = {each.host: each for each in Service}
    if service not in known:
        raise UsageError(f"there is no service {service!r}; there are {', '.join(known)}")
    issued = Authority.load(ca).issue(known[service], identifier, hosts=host, days=days, namespace=namespace)
    try:
        issued.write(folder)
    except OSError as error:
        raise AccessDenied(f"{folder}: cannot be written ({error.strerror})") from None


@click.command(context_settings=HELP)
@click.argument("paths", type=click.Path(path_type=Path, exists=True), nargs=-1, required=True)
def show(paths: tuple[Path, ...]) -> None:
    """Show each certificate in PATHS: files, or folders with *.pem in them."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    for path in paths:
        files = sorted(path.glob("*.pem")) if path.is_dir() else [path]
        for file in files:
            try:
                data = file.read_bytes()
                found = x509.load_pem_x509_certificates(data) if b"CERTIFICATE" in data else []
            except PermissionError:
                raise AccessDenied(f"{file}: may not be read") from None
            except ValueError:
                raise UnreadableInput(f"{file}: holds no certificate in PEM form") from None
            for certificate in found:
                names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
                name = (
                    str(names[0].value)
                    if names
                    else certificate.subject.rfc4514_string({NameOID.SERIAL_NUMBER: "serialNumber"})
                )
                said = "".join(c if c.isprintable() else "?" for c in name)
                click.echo(
                    f"{file}: {said}, until {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC{_hosts(certificate)}"
                )


def _hosts(certificate: object) -> str:
    from cryptography import x509

    assert isinstance(certificate, x509.Certificate)
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ""
    hosts = [*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))]
    return f", for {' '.join(''.join(c for c in host if c.isprintable()) for host in hosts)}"


@click.command(context_settings=HELP)
@_folder
@_folders
def trust(ca: Path, folders: tuple[Path, ...]) -> None:
    """Write the CAs to trust into ca.pem of FOLDERS; onto standard output where none is named."""
    from redoubt.wire.authority import Authority, give

    trusted = Authority.load(ca).trusted
    if not folders:
        click.echo(trusted.decode("ascii"), nl=False)
    for folder in folders:
        try:
            give(trusted, folder)
        except OSError as error:
            raise AccessDenied(f"{folder}: cannot be written ({error.strerror})") from None


@click.command(context_settings=HELP)
@_folder
def stage(ca: Path) -> None:
    """Make the CA to come. It signs nothing yet; have it trusted everywhere, then `switch`."""
    from redoubt.wire.authority import Authority

    Authority.load(ca).stage()


@click.command(context_settings=HELP)
@_folder
def switch(ca: Path) -> None:
    """Sign with the CA to come from now on. What the one before signed stays trusted until `retire`."""
    from redoubt.wire.authority import Authority

    Authority.load(ca).switch()


@click.command(context_settings=HELP)
@_folder
def retire(ca: Path) -> None:
    """Trust only the CA of now. Certificates that the one before signed are worth nothing from then on."""
    from redoubt.wire.authority import Authority

    Authority.load(ca).retire()
