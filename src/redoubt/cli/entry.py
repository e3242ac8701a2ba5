"""How both CLIs begin and end: commands loaded when called, one line per error, one set of exit codes.

Keeps start-up short: nothing but click is imported before a command runs. Must not know what any
command does.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, cast

import click

from redoubt import __version__
from redoubt.errors import EXIT_CREDENTIALS, EXIT_UNREADABLE, EXIT_USAGE, RedoubtError, UsageError

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called; their one-line help stands here.

    ``commands_at`` maps a command's name to ``(module:attribute, short help)``.
    """

    def __init__(self, *args: object, commands_at: Mapping[str, tuple[str, str]], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # click's own signature, passed on
        self.commands_at = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order in which they were given."""
        return list(self.commands_at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in self.commands_at:
            return None
        module, _, attribute = self.commands_at[cmd_name][0].partition(":")
        return cast(click.Command, getattr(importlib.import_module(module), attribute))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in ``--help``, from the short texts: no command is imported for it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.commands_at.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown command is answered with the nearest known one."""
        if args and not args[0].startswith("-") and args[0] not in self.commands_at:
            import difflib

            near = difflib.get_close_matches(args[0], self.commands_at, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; see '{ctx.command_path} --help'"
            raise click.UsageError(f"no such command '{args[0]}'{hint}", ctx)
        return super().resolve_command(ctx, args)


def print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """``--version``."""
    if value and not ctx.resilient_parsing:
        click.echo(f"{ctx.find_root().info_name} {__version__}")
        ctx.exit()


def run(command: click.Command, name: str) -> NoReturn:
    """Run a CLI and leave the process with the exit code that ``docs/exit-codes.md`` promises."""
    defaults = _configuration(name)
    try:
        code = command.main(
            prog_name=name, standalone_mode=False, auto_envvar_prefix=name.upper(), default_map=defaults
        )
    except click.exceptions.Exit as leave:
        _leave(leave.exit_code)
    except click.Abort:
        _leave(130)
    except click.UsageError as error:
        where = f"; see '{error.ctx.command_path} --help'" if error.ctx else ""
        message = error.format_message().rstrip(".")
        _fail(
            name,
            message if "--help'" in message or "did you mean" in message else message + where,
            EXIT_USAGE,
        )
    except click.ClickException as error:
        _fail(name, error.format_message(), error.exit_code)
    except RedoubtError as error:
        _fail(name, str(error), error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _leave(0)
    except KeyboardInterrupt:
        _leave(130)
    except PermissionError as error:
        _fail(name, f"{error.filename}: permission denied; check who owns it", EXIT_CREDENTIALS)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(name, f"{where}{error.strerror or error}", EXIT_UNREADABLE)
    _leave(code if isinstance(code, int) else 0)


def _fail(name: str, message: str, code: int) -> NoReturn:
    label = click.style("error:", fg="red", bold=True)
    colour = False if os.environ.get("NO_COLOR") else None
    line = "".join(c if c.isprintable() else " " for c in " ".join(message.split()))
    click.echo(f"{name}: {label} {line}", err=True, color=colour)
    _leave(code)


def _leave(code: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _configuration(name: str) -> dict[str, object]:
    """``REDOUBT_CONFIG`` or ``~/.config/redoubt/config.toml``: a table per command, weaker than the environment.

    ``[scan] fail-on = "high"`` stands for ``--fail-on high``.
    """
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
    given = os.environ.get(f"{name.upper()}_CONFIG")
    path = Path(given) if given else Path(base) / name / "config.toml"
    if not given and not path.is_file():
        return {}
    import tomllib

    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        _fail(name, f"{path}: {error.strerror}; check {name.upper()}_CONFIG", EXIT_USAGE)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        _fail(name, f"{path}: not valid TOML: {error}", EXIT_USAGE)
    return cast(dict[str, object], _underscored(tables))


def _underscored(value: object) -> object:
    if isinstance(value, dict):
        return {str(key).replace("-", "_"): _underscored(item) for key, item in value.items()}
    return value


def require(condition: bool, message: str) -> None:
    """Raise ``UsageError`` with ``message`` unless ``condition``."""
    if not condition:
        raise UsageError(message)
