"""``redoubt definitions keygen``, ``root`` and ``sign``: keys, who holds them, and signatures one after another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from redoubt.cli.console import Console
from redoubt.cli.entry import HELP, LazyGroup, require
from redoubt.cli.redoubt import options
from redoubt.cli.redoubt.building import tell_lacking
from redoubt.cli.redoubt.definitions import print_json

if TYPE_CHECKING:
    from redoubt.definitions.ceremony import Role, Standing

_HERE = "redoubt.cli.redoubt.signing"

F = TypeVar("F", bound=Callable[..., object])


@click.command(context_settings=HELP)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="A new folder for them."
)
@click.option("--name", help="Make one person's pair of keys only, NAME.pem and NAME.pub, for `root new`.")
def keygen(out: Path, name: str | None) -> None:
    """Make the keys that sign bundles: definitions.pem signs daily, root.pem is put away, root.json is handed out.

    With --name it makes one pair of keys, for a root that several people hold. Nothing is ever overwritten.
    """
    if name is not None:
        from redoubt.definitions.ceremony import make_key

        private, public = make_key(out, name)
        click.echo(f"{private}  keep to yourself: it signs roots and bundles")
        click.echo(f"{public}  give to whoever makes the root: definitions root new --key {public.name} …")
        return
    from redoubt.definitions.keys import keygen as make

    root = make(out, datetime.now(UTC))
    click.echo(f"{out / 'root.pem'}         keep offline: it is needed to replace the other key")
    click.echo(f"{out / 'definitions.pem'}  keep where bundles are built: definitions build --key {out}")
    click.echo(f"{root}        carry behind the gap: definitions trust add root.json --channel main")


_ROOT = {
    "new": (f"{_HERE}:root_new", "Make a root out of several people's keys."),
    "change": (f"{_HERE}:root_change", "Make the next version: other keys, other thresholds."),
    "sign": (f"{_HERE}:root_sign", "Sign a root with one of its keys."),
    "show": (f"{_HERE}:root_show", "Show who may sign, and who did."),
}


@click.group(cls=LazyGroup, commands_at=_ROOT, context_settings=HELP)
def root() -> None:
    """Make, change and sign roots that several people hold.

    \b
    Each of three people:  redoubt definitions keygen --name alice --out alice
    One of them:           redoubt definitions root new --out root.json --threshold 2 \\
                             --key alice.pub --key bob.pub --key carol.pub
    Two, one by one:       redoubt definitions root sign root.json --key alice.pem
    """


def _files(name: str, text: str, *, required: bool = False) -> Callable[[F], F]:
    return click.option(
        name,
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        multiple=True,
        required=required,
        help=text,
    )


@click.command("new", context_settings=HELP)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The root to write: root.json.",
)
@_files("--key", "The public key of somebody who signs bundles. May be repeated.", required=True)
@_files("--root-key", "The same for the root itself. Default: those of --key.")
@click.option("--threshold", type=click.IntRange(min=1), required=True, help="How many sign a bundle.")
@click.option(
    "--root-threshold", type=click.IntRange(min=1), help="How many sign the root. Default: as many."
)
def root_new(
    out: Path,
    key: tuple[Path, ...],
    root_key: tuple[Path, ...],
    threshold: int,
    root_threshold: int | None,
) -> None:
    """Make a root out of several people's public keys. It counts once enough of its root keys signed it."""
    from redoubt.definitions.ceremony import new_root

    _tell(
        out,
        new_root(
            out,
            key,
            root_key or key,
            threshold=threshold,
            root_threshold=root_threshold or threshold,
            now=datetime.now(UTC),
        ),
    )


@click.command("change", context_settings=HELP)
@click.argument("file", metavar="ROOT", type=click.Path(path_type=Path, dir_okay=False))
@_files("--add-key", "A public key that signs bundles from now on. May be repeated.")
@click.option("--remove-key", multiple=True, help="One that does no more: the start of its identifier.")
@_files("--add-root-key", "A public key that signs the root from now on. May be repeated.")
@click.option("--remove-root-key", multiple=True, help="One that does no more.")
@click.option("--threshold", type=click.IntRange(min=1), help="How many sign a bundle from now on.")
@click.option("--root-threshold", type=click.IntRange(min=1), help="How many sign the root from now on.")
def root_change(
    file: Path,
    add_key: tuple[Path, ...],
    remove_key: tuple[str, ...],
    add_root_key: tuple[Path, ...],
    remove_root_key: tuple[str, ...],
    threshold: int | None,
    root_threshold: int | None,
) -> None:
    """Make the version that follows ROOT, the root.json: 2.root.json beside it, and so on.

    It counts once enough root keys of the version before it signed it, and enough of its own.
    """
    from redoubt.definitions.ceremony import change_root

    out, found = change_root(
        file,
        add=add_key,
        remove=remove_key,
        add_root=add_root_key,
        remove_root=remove_root_key,
        threshold=threshold,
        root_threshold=root_threshold,
        now=datetime.now(UTC),
    )
    _tell(out, found)


@click.command("sign", context_settings=HELP)
@click.argument("file", metavar="ROOT", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="Your private key.",
)
def root_sign(file: Path, key: Path) -> None:
    """Sign ROOT, a root.json or a 2.root.json, with one of its keys."""
    from redoubt.definitions.ceremony import sign_root

    _tell(file, sign_root(file, key))


@click.command("show", context_settings=HELP)
@click.argument("file", metavar="ROOT", type=click.Path(path_type=Path, dir_okay=False))
@options.listing
def root_show(file: Path, output: str) -> None:
    """Show who may sign bundles and the root itself, how many it takes, and who signed the root."""
    import msgspec

    from redoubt.definitions.ceremony import standing

    found = standing(file)
    if output == "json":
        print_json(msgspec.to_builtins(found) | {"complete": found.complete})
    else:
        _tell(file, found)


@click.command(context_settings=HELP)
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@options.signing_keys
@click.option("--digest", default="", help="Sign only if it holds these definitions: sha256:….")
@options.quiet
def sign(bundle: Path, key: tuple[Path, ...], digest: str, quiet: bool) -> None:
    """Add your signature to BUNDLE, which somebody else built and signed.

    It is checked first: that nothing was changed after the others signed, and that the stream has the digest
    that is signed. Whether its content is right is for you to say: build it from your own mirror, and give
    the digest that you get as --digest.
    """
    from redoubt.definitions.cosigning import cosign
    from redoubt.definitions.keys import load_key

    require(not digest or digest.startswith("sha256:"), "a digest begins with sha256:")
    console = Console(quiet=quiet)
    lacking = 0
    for each in key:
        manifest, lacking = cosign(bundle, load_key(each), digest=digest)
    console.done(
        f"Signed: {bundle}, channel {manifest.channel}, built {manifest.created}, definitions {manifest.digest}"
    )
    tell_lacking(console, bundle, lacking)


def _tell(file: Path, found: Standing) -> None:
    click.echo(f"{file}: version {found.version} of a root, until {found.expires[:10]}")
    click.echo(f"Bundles are signed by {_of(found.bundles)}:")
    for key in found.bundles.keys:
        click.echo(f"  {key[:12]}")
    for title, role in (("The root is signed by", found.root), ("Version before it:", found.before)):
        if role is not None:
            click.echo(f"{title} {_of(role)}:")
            for key in role.keys:
                click.echo(f"  {key[:12]}{'  signed' if key in role.signed else ''}")
    if found.complete:
        click.echo("Complete: it counts")
    else:
        lacking = max(found.root.lacking, found.before.lacking if found.before else 0)
        click.echo(f"Lacks {lacking} more: redoubt definitions root sign {file.name} --key KEY.pem")


def _of(role: Role) -> str:
    return f"{role.threshold} of {len(role.keys)}"
