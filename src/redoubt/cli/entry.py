"""How both CLIs begin and end: commands loaded when called, one line per error, one set of exit codes.

Keeps start-up short: nothing but click is imported before a command runs. Must not know what any
command does.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, cast

import click

from redoubt import __version__
from redoubt.cli.console import colored
from redoubt.errors import (
    EXIT_CREDENTIALS,
    EXIT_UNREADABLE,
    EXIT_USAGE,
    AccessDenied,
    RedoubtError,
    UsageError,
)

#: Bytes of a configuration file that are read.
_MAX_CONFIGURATION = 64 << 10
_EXIT_INTERRUPTED = 130
_EXIT_FAULT = 70  # EX_SOFTWARE of sysexits.h: never to be taken for findings

#: No more can be written there. Answered like a folder that may not be written.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})

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
        if ctx.resilient_parsing:  # completion: whatever is there so far is right
            return super().resolve_command(ctx, args)
        if args and not args[0].startswith("-") and args[0] not in self.commands_at:
            hint = _meant(args[0], self.commands_at) or f"; see '{ctx.command_path} --help'"
            raise click.UsageError(f"no such command '{args[0]}'{hint}", ctx)
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and command is not None:
            _check_configured(ctx, self, name, command)
            _check_environment(ctx, name, command)
        return name, command, rest


class Folder(click.Path):
    """A folder that need not exist yet. An empty text is an unset variable of a script, and not this folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuses what is empty, and a file."""
        if value == "":
            self.fail("it is empty; name a folder, or leave the option out", param, ctx)
        return super().convert(value, param, ctx)


class Configured(click.Command):
    """A command with settings of its own in variables of its own name: it checks them itself."""


def _check_configured(ctx: click.Context, group: LazyGroup, name: str, command: click.Command) -> None:
    """Refuse what the configuration says of ``name`` and cannot mean: a typing error must not open a gate."""
    tables = ctx.default_map or {}
    path = ctx.find_root().obj
    own = _options(ctx, group)
    for key in tables:
        if str(key) not in own and str(key).replace("_", "-") not in group.commands_at:
            raise UsageError(f"{path}: no command '{key}'{_meant(str(key), group.commands_at)}")
    _check_values({key: value for key, value in tables.items() if key in own}, own, "", path)
    table = tables.get(name, {})
    where = " ".join([*ctx.command_path.split()[1:], name])
    if not isinstance(table, dict):
        raise UsageError(
            f"{path}: '{name}' is a command; write its options below [{where.replace(' ', '.')}]"
        )
    if isinstance(command, click.Group):
        return
    known = _options(click.Context(command, parent=ctx, info_name=name), command)
    for key in table:
        if key not in known:
            written = key.replace("_", "-")
            meant = _meant(written, [str(each).replace("_", "-") for each in known])
            raise UsageError(f"{path}: '{where}' has no option '{written}'{meant}")
    _check_values(table, known, f" of '{where}'", path)


def _options(ctx: click.Context, command: click.Command) -> dict[str, click.Option]:
    """What may be configured of a command, by name."""
    return {
        str(option.name): option
        for option in command.get_params(ctx)
        if isinstance(option, click.Option) and not option.is_eager
    }


def _check_values(
    table: dict[str, object], known: Mapping[str, click.Option], whose: str, path: Path | None
) -> None:
    """Refuse values of a kind that their options don't have; one text for an option that may be repeated is a list."""
    for key, value in table.items():
        option = known[key]
        if option.multiple and isinstance(value, str):
            table[key] = value = [value]
        wanted = (bool,) if option.is_flag else (str, int, float)
        values = value if option.multiple and isinstance(value, list) else [value]
        if not all(
            isinstance(each, wanted) and (option.is_flag or not isinstance(each, bool)) for each in values
        ):
            raise UsageError(
                f"{path}: '{key.replace('_', '-')}'{whose} wants "
                f"{'true or false' if option.is_flag else 'text in quotes, or a number'}"
            )


def _check_environment(ctx: click.Context, name: str, command: click.Command) -> None:
    """Warn of variables that look like options of this command and are none.

    No more than a warning: Kubernetes sets variables named after services.
    """
    if isinstance(command, click.Group | Configured):
        return
    prefix = f"{ctx.auto_envvar_prefix}_{name.upper()}_"
    known = [f"{prefix}{str(option.name).upper()}" for option in command.params]
    for variable in sorted(os.environ):
        if variable.startswith(prefix) and variable not in known:
            _say(
                click.style("warning:", fg="yellow", bold=True),
                f"{variable} is no option{_meant(variable, known)}",
            )


def _origin(error: click.UsageError) -> str:
    """Where a value came from that is wrong, unless it was typed."""
    if not isinstance(error, click.BadParameter) or error.ctx is None or error.param is None:
        return ""
    name = error.param.name or ""
    match error.ctx.get_parameter_source(name):
        case click.core.ParameterSource.ENVIRONMENT:
            return f" (from {error.ctx.auto_envvar_prefix}_{name.upper()})"
        case click.core.ParameterSource.DEFAULT_MAP:
            return f" (from {error.ctx.find_root().obj})"
    return ""


def _meant(text: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(text, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """``--version``."""
    if value and not ctx.resilient_parsing:
        click.echo(f"{ctx.find_root().info_name} {__version__}")
        ctx.exit()


version_option = click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Print the version.",
)


def run(command: click.Command, name: str) -> NoReturn:
    """Run a CLI and leave the process with the exit code that ``docs/exit-codes.md`` promises."""
    _open_missing_streams()
    try:
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = _invoke(command, name)
    except click.exceptions.Exit as leave:
        _leave(leave.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        with suppress(OSError):
            click.echo(error.format_message(), err=True)
        _leave(EXIT_USAGE)
    except click.UsageError as error:
        where = f"; see '{error.ctx.command_path} --help'" if error.ctx else ""
        message = error.format_message().rstrip(".") + _origin(error)
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
        _leave(0)
    except (KeyboardInterrupt, click.Abort):
        # A second Ctrl-C must not interrupt the leaving.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _leave(_EXIT_INTERRUPTED)
    except OSError as error:
        _fail(name, *_told(error))
    except MemoryError:
        _fail(name, "out of memory; give this process more", EXIT_UNREADABLE)
    except Exception as error:
        if os.environ.get("REDOUBT_DEBUG"):
            raise
        reason = f"{type(error).__name__}: {error}"[:300]
        _fail(
            name, f"a fault of its own ({reason}); REDOUBT_DEBUG=1 shows where, please report it", _EXIT_FAULT
        )
    _leave(code if isinstance(code, int) else 0)


def _invoke(command: click.Command, name: str) -> object:
    """What ``command.main`` does, but for its habit of ending a process whose reader went away with 1."""
    if instruction := os.environ.get(variable := f"_{name.upper()}_COMPLETE"):
        from redoubt.cli import completing

        return completing.answered(command, name, variable, instruction)
    path, tables = _configuration(name)
    with command.make_context(
        name, sys.argv[1:], auto_envvar_prefix=name.upper(), default_map=tables, obj=path
    ) as ctx:
        return cast(object, command.invoke(ctx))


def _told(error: OSError) -> tuple[str, int]:
    """The line and the exit code for an error of the operating system that no command expected."""
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    if isinstance(error, PermissionError):
        return f"{where}permission denied; check who owns it", EXIT_CREDENTIALS
    if error.errno in _NO_ROOM:
        return f"{where}cannot write: {error.strerror}; check space and permissions", EXIT_CREDENTIALS
    return f"{where}{error.strerror or error}", EXIT_UNREADABLE


def _open_missing_streams() -> None:
    """Standard streams that were closed (`>&-`) lead nowhere, rather than into the next file we open."""
    for stream, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, stream) is None:
            setattr(sys, stream, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # until the end


def _fail(name: str, message: str, code: int) -> NoReturn:
    _say(f"{name}: {click.style('error:', fg='red', bold=True)}", message)
    _leave(code)


def _say(label: str, message: str) -> None:
    """One line on standard error; that it cannot be written changes nothing else."""
    line = "".join(c if c.isprintable() else " " for c in " ".join(message.split()))
    with suppress(OSError):
        click.echo(f"{label} {line}", err=True, color=colored())


def _leave(code: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except OSError as error:
        # What is still in the buffer must not be tried again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno in _NO_ROOM and not code:
            _fail("redoubt", *_told(error))
    sys.exit(code)


def _configuration(name: str) -> tuple[Path | None, dict[str, object]]:
    """``REDOUBT_CONFIG`` or ``~/.config/redoubt/config.toml``: a table per command, weaker than the environment.

    ``[scan] fail-on = "high"`` stands for ``--fail-on high``. The path is None where there is no such file.
    """
    given = os.environ.get(variable := f"{name.upper()}_CONFIG")
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111  # a user without a home has no such file
    path = Path(given) if given else Path(base) / name / "config.toml"
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_CONFIGURATION + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        if not given:
            return None, {}
        raise UsageError(f"{path}: {error.strerror}; check {variable}") from None
    except PermissionError:
        if not given:
            # Another user's home (`sudo -u`): there is no configuration of ours in it.
            return None, {}
        raise AccessDenied(f"{path}: permission denied; check {variable}") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if len(data) > _MAX_CONFIGURATION:
        raise UsageError(f"{path}: larger than {_MAX_CONFIGURATION >> 10} KiB, which no configuration is")
    from redoubt.assessments import toml

    return path, cast(dict[str, object], _underscored(toml.load(data, str(path))))


def _underscored(value: object) -> object:
    if isinstance(value, dict):
        return {str(key).replace("-", "_"): _underscored(item) for key, item in value.items()}
    return value


def require(condition: bool, message: str) -> None:
    """Raise ``UsageError`` with ``message`` unless ``condition``."""
    if not condition:
        raise UsageError(message)
