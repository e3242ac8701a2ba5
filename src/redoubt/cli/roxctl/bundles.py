"""What ``roxctl central init-bundles`` asks of Central, and how the answers are shown and kept."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from contextlib import ExitStack

import click
import msgspec

from redoubt.cli.console import Console, clean
from redoubt.cli.redoubt.definitions import print_columns
from redoubt.cli.roxctl import connection, newfile
from redoubt.errors import NetworkError, UnreadableInput, UsageError

PATH = "/v1/cluster-init"
MINUTE = 60.0


class _Cluster(msgspec.Struct):
    id: str = ""
    name: str = ""


class Creator(msgspec.Struct):
    """``storage.User``."""

    id: str = ""


class Bundle(msgspec.Struct, rename="camel"):
    """``InitBundleMeta``."""

    id: str
    name: str
    created_at: str = ""
    expires_at: str = ""
    created_by: Creator | None = None
    impacted_clusters: tuple[_Cluster, ...] = ()


class _Bundles(msgspec.Struct):
    items: tuple[Bundle, ...] = ()


class Made(msgspec.Struct, rename="camel"):
    """A new one, in base64: Helm values, and Secrets for ``kubectl``."""

    meta: Bundle
    helm_values_bundle: str = ""
    kubectl_bundle: str = ""


class _Ca(msgspec.Struct, rename="camel"):
    helm_values_bundle: str = ""


class _Error(msgspec.Struct, rename="camel"):
    id: str = ""
    error: str = ""


class _Revoked(msgspec.Struct, rename="camel"):
    init_bundle_revocation_errors: tuple[_Error, ...] = ()
    init_bundle_revoked_ids: tuple[str, ...] = ()


def generate(ctx: click.Context, name: str, helm: str, secrets: str) -> None:
    """``roxctl central init-bundles generate``. Files are made first: a bundle that cannot be written is not asked for."""
    if not helm and not secrets:
        raise UsageError("say where to write it: --output for Helm values, --output-secrets for kubectl")
    if helm == secrets:
        raise UsageError("--output and --output-secrets go to different places")
    console = Console()
    with ExitStack() as stack:
        files = {
            kind: stack.enter_context(newfile.new(place))
            for kind, place in (("helm", helm), ("kubectl", secrets))
            if place
        }
        with connection.central(ctx, console, timeout=MINUTE) as central:
            bundle = made(central, name)
        texts = {"helm": bundle.helm_values_bundle, "kubectl": bundle.kubectl_bundle}
        for kind, file in files.items():
            newfile.write(file, decoded(texts[kind]))
    console.notice(
        f"init bundle {clean(bundle.meta.name)} ({clean(bundle.meta.id)}), good until {clean(bundle.meta.expires_at)}"
    )
    console.notice("it holds private keys, which Central does not keep; whoever has it can add a cluster")


def made(central: connection.Central, name: str) -> Made:
    """A new one, asked for once: a second that nobody knows of would count."""
    return central.read(central.work(f"{PATH}/init-bundles", {"name": name}), Made)


def show(ctx: click.Context) -> None:
    """``roxctl central init-bundles list``."""
    found = _all(ctx)
    rows = [("NAME", "CREATED", "EXPIRES", "CREATED BY", "CLUSTERS", "ID")]
    rows += [
        (
            each.name,
            each.created_at[:16],
            each.expires_at[:16],
            each.created_by.id if each.created_by else "",
            str(len(each.impacted_clusters)),
            each.id,
        )
        for each in found
    ]
    print_columns(rows)


def revoke(ctx: click.Context, named: Sequence[str], *, force: bool) -> None:
    """``roxctl central init-bundles revoke``, by name or identifier."""
    there = _all(ctx)
    chosen: dict[str, Bundle] = {}
    for text in named:
        found = next((each for each in there if text in (each.id, each.name)), None)
        if found is None:
            raise UsageError(f"there is no init bundle {text!r}; see `roxctl central init-bundles list`")
        chosen[found.id] = found
    impacted = {one.id: one.name for each in chosen.values() for one in each.impacted_clusters}
    if impacted and not force:
        names = ", ".join(sorted(clean(name) for name in impacted.values()))
        click.echo(f"These clusters are disconnected: {names}", err=True)
        try:
            agreed = click.confirm("Are you sure?", err=True)
        except click.Abort:
            agreed = False
        if not agreed:
            raise UsageError("nothing was revoked; --force does not ask")
    body = {"ids": list(chosen), "confirmImpactedClustersIds": sorted(impacted)}
    with connection.central(ctx, Console(), timeout=MINUTE) as central:
        done = central.ask("PATCH", f"{PATH}/init-bundles/revoke", body, _Revoked)
    for identifier in done.init_bundle_revoked_ids:
        click.echo(f"Revoked {clean(chosen[identifier].name if identifier in chosen else identifier)}")
    if done.init_bundle_revocation_errors:
        told = "; ".join(
            f"{clean(each.id)}: {clean(each.error)}" for each in done.init_bundle_revocation_errors
        )
        raise UnreadableInput(f"not revoked: {told}")


def fetch_ca(ctx: click.Context, output: str) -> None:
    """``roxctl central init-bundles fetch-ca``."""
    with newfile.new(output) as file:
        with connection.central(ctx, Console(), timeout=MINUTE) as central:
            found = central.get(f"{PATH}/ca-config", _Ca)
        newfile.write(file, decoded(found.helm_values_bundle))


def _all(ctx: click.Context) -> tuple[Bundle, ...]:
    with connection.central(ctx, Console(), timeout=MINUTE) as central:
        return central.get(f"{PATH}/init-bundles", _Bundles).items


def decoded(text: str) -> bytes:
    """What Central gave in base64. Raises ``NetworkError``."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NetworkError("what Central answered cannot be read; are both of one version?") from None
