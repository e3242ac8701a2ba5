"""``roxctl central``: who am I to it, how do I get in, and what does it say of itself."""

from __future__ import annotations

import click

from redoubt.cli.roxctl import options

_HERE = "redoubt.cli.roxctl.central"

_COMMANDS = {
    "whoami": (f"{_HERE}:whoami", "Show who you are to Central, and what you may do."),
    "login": (f"{_HERE}:login", "Log in, and keep the login for this Central."),
    "cert": (f"{_HERE}:cert", "Print Central's certificate."),
    "export": (f"{_HERE}:export", "Write out what Central keeps."),
    "init-bundles": (f"{_HERE}:init_bundles", "Make and revoke what new clusters come with."),
    "crs": (f"{_HERE}:crs", "Make and revoke secrets that new clusters register with."),
    "debug": (f"{_HERE}:debug", "See and change how much Central logs."),
}

#: As the original writes them; Trace is Redoubt's.
_LEVELS = ("Panic", "Fatal", "Error", "Warn", "Info", "Debug", "Trace")


@options.group(_COMMANDS)
def central() -> None:
    """Log in, and ask Central about itself and you."""


@options.command(timeout="1m", retry=True)
@click.pass_context
def whoami(ctx: click.Context) -> None:
    """Show who you are to Central, in which roles, and what these allow: rw, r-, or -- for each resource."""
    from redoubt.cli.roxctl import asking

    asking.whoami(ctx)


@options.command(timeout="5m")
@click.option("--paste", is_flag=True, help="Paste an API token, though a browser could be used.")
@click.pass_context
def login(ctx: click.Context, paste: bool) -> None:
    """Log in through a browser, or by pasting an API token, and keep the login for this Central.

    The browser is used where there is one and Central has a page to log in by. Else a token is asked for, or read from standard input where
    that is no terminal. It is tried, and kept in roxctl-config.yaml in $ROX_CONFIG_DIR or ~/.roxctl, where only you
    can read it. Flags and variables with credentials are stronger than what is kept.

    \b
    roxctl central login -e central.example:443
    roxctl central login -e central.example:443 < token
    """
    from redoubt.cli.roxctl import loggingin

    loggingin.login(ctx, paste=paste)


@options.command(timeout="1m", retry=True)
@click.option(
    "--output",
    default="-",
    show_default=True,
    metavar="FILE",
    help="Where to write it; - is standard output.",
)
@click.pass_context
def cert(ctx: click.Context, output: str) -> None:
    """Print the certificate with which Central, or a load balancer before it, answers; who made it and until when it counts, on standard error.

    No credentials are sent. One that is not trusted (yet) is printed with --insecure-skip-tls-verify only: compare its fingerprint with what
    the server's administrator sees before trusting it.
    """
    from redoubt.cli.roxctl import asking

    asking.certificate(ctx, output)


_EXPORT = {"images": (f"{_HERE}:export_images", "All images with their findings.")}


@options.group(_EXPORT, timeout="no limit, but an answer that stands still is given up")
def export() -> None:
    """Write out what Central keeps, as JSON, one thing a line."""


@options.command("images", timeout="no limit, but an answer that stands still is given up")
@click.pass_context
def export_images(ctx: click.Context) -> None:
    """Write every image that Central knows, with its findings, one a line: {"image": …}.

    \b
    roxctl central export images | jq -r '.image | [.name.fullName, .scan.operatingSystem] | @tsv'
    """
    from redoubt.cli.roxctl import asking

    asking.export_images(ctx)


_BUNDLES = {
    "generate": (f"{_HERE}:bundles_generate", "Make an init bundle."),
    "list": (f"{_HERE}:bundles_list", "List init bundles that count."),
    "revoke": (f"{_HERE}:bundles_revoke", "Revoke init bundles."),
    "fetch-ca": (f"{_HERE}:bundles_fetch_ca", "Get Central's CA as Helm values."),
}


@options.group(_BUNDLES, timeout="1m")
def init_bundles() -> None:
    """Make and revoke init bundles: the CA and certificates that the services of a new cluster come with."""


@options.command("generate", timeout="1m")
@click.argument("name")
@click.option("--output", default="", metavar="FILE", help="Write Helm values; - is standard output.")
@click.option(
    "--output-secrets", default="", metavar="FILE", help="Write Secrets for kubectl; - is standard output."
)
@click.pass_context
def bundles_generate(ctx: click.Context, name: str, output: str, output_secrets: str) -> None:
    """Make an init bundle. It holds private keys that are nowhere else; files are new, and only yours to read.

    \b
    roxctl central init-bundles generate spring --output-secrets init-bundle.yaml
    kubectl create -n stackrox -f init-bundle.yaml
    """
    from redoubt.cli.roxctl import bundles

    bundles.generate(ctx, name, output, output_secrets)


@options.command("list", timeout="1m", retry=True)
@click.pass_context
def bundles_list(ctx: click.Context) -> None:
    """List init bundles that count, and how many clusters came with each."""
    from redoubt.cli.roxctl import bundles

    bundles.show(ctx)


@options.command("revoke", timeout="1m")
@click.argument("bundles", nargs=-1, required=True, metavar="NAME_OR_ID...")
@click.option("-f", "--force", is_flag=True, help="Do not ask about clusters that are disconnected.")
@click.pass_context
def bundles_revoke(ctx: click.Context, bundles: tuple[str, ...], force: bool) -> None:
    """Revoke init bundles, for good. Clusters whose services came with one are disconnected; you are asked before."""
    from redoubt.cli.roxctl import bundles as asking

    asking.revoke(ctx, bundles, force=force)


@options.command("fetch-ca", timeout="1m", retry=True)
@click.option("--output", default="-", show_default=True, metavar="FILE", help="Where to write it.")
@click.pass_context
def bundles_fetch_ca(ctx: click.Context, output: str) -> None:
    """Get Central's CA as Helm values, for services that have certificates already."""
    from redoubt.cli.roxctl import bundles

    bundles.fetch_ca(ctx, output)


_SECRETS = {
    "generate": (f"{_HERE}:crs_generate", "Make a cluster registration secret."),
    "list": (f"{_HERE}:crs_list", "List cluster registration secrets that count."),
    "revoke": (f"{_HERE}:crs_revoke", "Revoke cluster registration secrets."),
}


@options.group(_SECRETS, timeout="1m")
def crs() -> None:
    """Make and revoke cluster registration secrets: with one a new cluster comes, and gets certificates of its own."""


@options.command("generate", timeout="1m")
@click.argument("name")
@click.option("-o", "--output", default="", metavar="FILE", help="Where to write it; - is standard output.")
@click.option(
    "--valid-for", default="", metavar="TIME", help="How long it is good: 10m, 12h, 1d. Default: a day."
)
@click.option(
    "--valid-until", default="", metavar="MOMENT", help="Until when it is good: 2099-01-02T03:04:05Z."
)
@click.option(
    "--max-clusters",
    type=click.IntRange(0, 100),
    default=0,
    show_default=True,
    help="How many clusters may register with it; 0: any number.",
)
@click.pass_context
def crs_generate(
    ctx: click.Context, name: str, output: str, valid_for: str, valid_until: str, max_clusters: int
) -> None:
    """Make a cluster registration secret. It holds a private key that is nowhere else; the file is new, and only yours to read.

    \b
    roxctl central crs generate spring --max-clusters 1 --output crs.yaml
    kubectl create -n stackrox -f crs.yaml
    """
    from redoubt.cli.roxctl import registering

    registering.generate(ctx, name, output, valid_for, valid_until, max_clusters)


@options.command("list", timeout="1m", retry=True)
@click.pass_context
def crs_list(ctx: click.Context) -> None:
    """List cluster registration secrets that count, and how many clusters registered with each."""
    from redoubt.cli.roxctl import registering

    registering.show(ctx)


@options.command("revoke", timeout="1m")
@click.argument("secrets", nargs=-1, required=True, metavar="NAME_OR_ID...")
@click.pass_context
def crs_revoke(ctx: click.Context, secrets: tuple[str, ...]) -> None:
    """Revoke cluster registration secrets, for good. Clusters that registered with one stay."""
    from redoubt.cli.roxctl import registering

    registering.revoke(ctx, secrets)


_DEBUG = {"log": (f"{_HERE}:debug_log", "Show or set how much Central logs.")}


@options.group(_DEBUG)
def debug() -> None:
    """See and change how much Central logs."""


@options.command("log", timeout="1m", retry=True)
@click.option(
    "-l",
    "--level",
    type=click.Choice(_LEVELS, case_sensitive=False),
    help="The level to set. Default: show what is set.",
)
@click.option("-m", "--modules", multiple=True, metavar="A,B", help="Only these modules. Default: all.")
@click.pass_context
def debug_log(ctx: click.Context, level: str | None, modules: tuple[str, ...]) -> None:
    """Show how much Central logs, or set it, until it starts again.

    \b
    roxctl central debug log
    roxctl central debug log --level Debug --modules definitions,api
    """
    from redoubt.cli.roxctl import asking

    asking.log_level(ctx, level, options.split(modules))
