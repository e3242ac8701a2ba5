"""How roxctl's commands take what is typed: options that may stand anywhere, and the forms that Go's flags have.

The original's global flags may stand before or after any command's name, so every command here takes them. What was
typed (or written in the configuration file) is kept beside click's own values and read by ``settings``. Imports nothing
but click: ``--help`` is quick.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from redoubt.cli.entry import LazyGroup
from redoubt.errors import UsageError

_GIVEN = "redoubt.roxctl.given"
_FILE = "redoubt.roxctl.file"
_TRUE = frozenset({"1", "t", "T", "true", "True", "TRUE"})
_FALSE = frozenset({"0", "f", "F", "false", "False", "FALSE"})
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
#: The longest time that anything may take: a day.
_LONGEST = 86400.0


class Duration(click.ParamType["float"]):
    """A time as Go writes it, ``90s`` or ``1h30m``; in seconds. ``0`` is none."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds; a usage error otherwise."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        parts = _PART.findall(text)
        if text != "0" and (not parts or "".join(number + unit for number, unit in parts) != text):
            self.fail(f"{text!r} is not a duration; write for example 90s or 5m", param, ctx)
        seconds = 0.0 + sum(float(number) * _SECONDS[unit] for number, unit in parts)
        if seconds > _LONGEST:
            self.fail(f"{text!r} is more than a day", param, ctx)
        return seconds


class Words(click.ParamType["str"]):
    """Words with commas between them, as Go's lists are written; the option may also be repeated.

    ``known``: the words that there are, told apart without regard to case and given as they stand here.
    """

    name = "list"

    def __init__(self, known: Sequence[str] = ()) -> None:
        self._known = {word.upper(): word for word in known}

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The same text, every word checked. ``split`` makes a list of it."""
        words = [word.strip() for word in str(value).split(",")]
        for word in words:
            if self._known and word.upper() not in self._known:
                self.fail(f"{word!r} is none of {', '.join(self._known.values())}", param, ctx)
        return ",".join(self._known.get(word.upper(), word) for word in words)


def split(given: Sequence[str]) -> list[str]:
    """The words of all repetitions of an option, in order."""
    return [word for text in given for word in text.split(",") if word]


class Shared(click.Option):
    """An option that may stand before or after a command's name; the last one counts. Not given to the command.

    ``listed``: whether ``--help`` has a line for it.
    """

    def __init__(self, *names: str, listed: bool, **more: Any) -> None:
        super().__init__(names, expose_value=False, callback=_keep, allow_from_autoenv=False, **more)
        self._listed = listed

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Its line in ``--help``, if it has one."""
        return super().get_help_record(ctx) if self._listed else None


def _keep(ctx: click.Context, param: click.Parameter, value: object) -> None:
    name = str(param.name)
    match ctx.get_parameter_source(name):
        case click.core.ParameterSource.COMMANDLINE:
            ctx.meta.setdefault(_GIVEN, {})[name] = value
        case click.core.ParameterSource.DEFAULT_MAP:
            if name == "password":
                raise UsageError(
                    f"{ctx.find_root().obj}: a password does not belong in a configuration file; use token-file"
                )
            ctx.meta.setdefault(_FILE, {})[name] = value
    if name == "no_color" and value:
        os.environ["NO_COLOR"] = "1"


def given(ctx: click.Context) -> Mapping[str, object]:
    """What was typed of the shared options."""
    return dict(ctx.meta.get(_GIVEN, {}))


def filed(ctx: click.Context) -> Mapping[str, object]:
    """What the configuration file says of the shared options."""
    return dict(ctx.meta.get(_FILE, {}))


def truth(text: str, where: str) -> bool:
    """A boolean as Go reads it. Raises ``UsageError`` naming ``where``."""
    if text in _TRUE or text.lower() in {"yes", "on"}:
        return True
    if text in _FALSE or text.lower() in {"", "no", "off"}:
        return False
    raise UsageError(f"{where} is {text!r}, which is neither true nor false")


_GLOBALS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("-e", "--endpoint"),
        {
            "metavar": "HOST:PORT|URL",
            "help": "Central. Default: $ROX_ENDPOINT, $ROX_CENTRAL_ADDRESS, else localhost:8443.",
        },
    ),
    (
        ("-p", "--password"),
        {
            "help": "The administrator's password. Others can read it in the list of processes: better is "
            "$ROX_ADMIN_PASSWORD, or a token."
        },
    ),
    (
        ("--token-file",),
        {
            "metavar": "FILE",
            "help": "A file with an API token. Default: the token in $ROX_API_TOKEN, else the file that "
            "$ROX_API_TOKEN_FILE names, else what `roxctl central login` stored.",
        },
    ),
    (
        ("--ca",),
        {
            "metavar": "FILE",
            "help": "Central's certificate authority, as PEM. Default: $ROX_CA_CERT_FILE, else ca.pem in "
            "$ROX_CONFIG_DIR or ~/.roxctl. The system's authorities count as well.",
        },
    ),
    (
        ("-s", "--server-name"),
        {
            "metavar": "NAME",
            "help": "The name that Central's certificate bears, where it is reached by another one "
            "($ROX_SERVER_NAME).",
        },
    ),
    (
        ("--insecure-skip-tls-verify",),
        {
            "is_flag": True,
            "help": "Check no certificate: whoever answers sees your credentials "
            "($ROX_INSECURE_CLIENT_SKIP_TLS_VERIFY).",
        },
    ),
    (
        ("--insecure",),
        {"is_flag": True, "help": "Allow what is insecure: needed for --plaintext ($ROX_INSECURE_CLIENT)."},
    ),
    (
        ("--plaintext",),
        {"is_flag": True, "help": "Speak HTTP without TLS; needs --insecure ($ROX_PLAINTEXT)."},
    ),
    (
        ("--direct-grpc",),
        {
            "is_flag": True,
            "help": "Accepted and without effect: roxctl speaks HTTPS only ($ROX_DIRECT_GRPC_CLIENT).",
        },
    ),
    (
        ("--force-http1",),
        {
            "is_flag": True,
            "help": "Accepted and without effect: roxctl speaks HTTP/1.1 already ($ROX_CLIENT_FORCE_HTTP1).",
        },
    ),
    (("--no-color",), {"is_flag": True, "help": "No colours ($ROX_NO_COLOR, $NO_COLOR)."}),
    (
        ("--use-current-k8s-context",),
        {
            "is_flag": True,
            "help": "Reach Central through kubectl's current context, by a forwarded port "
            "($ROX_USE_KUBECONTEXT).",
        },
    ),
)
_TIMEOUT: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("-t", "--timeout"),
        {"type": Duration(), "help": "How long the command may take, as 90s or 5m. Default: {default}."},
    ),
)
_RETRY: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--retry-timeout",),
        {
            "type": Duration(),
            "help": "How long one try may take before the next; 0: one try only. Default: 20s.",
        },
    ),
)


retries = click.option(
    "-r",
    "--retries",
    type=click.IntRange(0, 100),
    default=3,
    show_default=True,
    help="Tries after the first.",
)
retry_delay = click.option(
    "-d",
    "--retry-delay",
    type=click.IntRange(0, 3600),
    default=3,
    show_default=True,
    help="Seconds between tries.",
)


def _built(
    table: Sequence[tuple[tuple[str, ...], dict[str, Any]]], *, default: str = "", listed: bool = True
) -> list[click.Parameter]:
    return [
        Shared(*names, listed=listed, **{**more, "help": str(more["help"]).format(default=default)})
        for names, more in table
    ]


class _Takes:
    """What commands and groups have in common. ``timeout`` is the time that ``--help`` names."""

    def __init__(self, *args: Any, timeout: str = "", retry: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timeout = timeout
        self._retry = retry
        self._shared: list[click.Parameter] | None = None

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own, and the shared ones; only the root's help lists these."""
        if self._shared is None:
            self._shared = _built(_TIMEOUT, default=self._timeout) if self._timeout else []
            self._shared += _built(_RETRY) if self._retry else []
            self._shared += _built(_GLOBALS, listed=ctx.parent is None)
        return [*super().get_params(ctx), *self._shared]  # type: ignore[misc]  # click's, after this one

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, from ``--flag=true`` and ``-e=value`` as Go writes them."""
        # What a group sees is its commands' as well: only what they share is the group's to rewrite.
        params = [
            param
            for param in self.get_params(ctx)
            if isinstance(param, Shared) or not isinstance(self, click.Group)
        ]
        return super().parse_args(ctx, _as_click(ctx, params, args))  # type: ignore[misc, no-any-return]  # likewise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's options; of the shared ones a line, which leads to the root's help."""
        super().format_options(ctx, formatter)  # type: ignore[misc]  # likewise
        if ctx.parent is not None:
            with formatter.section("Global options"):
                formatter.write_text(
                    "-e/--endpoint, -p/--password, --token-file, --ca and others: see `roxctl --help`. "
                    "They may stand anywhere."
                )


class Command(_Takes, click.Command):
    """One command."""


class Group(_Takes, LazyGroup):
    """A group of commands, each imported when it is called."""


def _as_click(ctx: click.Context, params: Sequence[click.Parameter], args: Sequence[str]) -> list[str]:
    options = {name: param for param in params if isinstance(param, click.Option) for name in param.opts}
    written: list[str] = []
    for at, word in enumerate(args):
        if word == "--":
            return [*written, *args[at:]]
        name, equals, value = word.partition("=")
        option = options.get(name) if equals and name.startswith("-") else None
        if option is None:
            written.append(word)
        elif option.is_flag:
            if truth(value, name):
                written.append(name)
            elif option.secondary_opts:
                written.append(option.secondary_opts[0])
            elif isinstance(option, Shared):
                ctx.meta.setdefault(_GIVEN, {})[str(option.name)] = False
        elif not name.startswith("--"):
            written += [name, value]
        else:
            written.append(word)
    return written


def group(
    commands_at: Mapping[str, tuple[str, str]], **more: Any
) -> Callable[[Callable[..., object]], Group]:
    """A decorator: the function becomes a group of these commands (see ``LazyGroup``)."""
    from redoubt.cli.entry import HELP

    return click.group(cls=Group, commands_at=commands_at, context_settings=HELP, **more)


def command(name: str | None = None, **more: Any) -> Callable[[Callable[..., object]], Command]:
    """A decorator: the function becomes a command. ``timeout`` and ``retry`` as in ``_Takes``."""
    from redoubt.cli.entry import HELP

    return click.command(name, cls=Command, context_settings=HELP, **more)
