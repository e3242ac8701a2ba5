"""How the commands behave in a shell: help, errors, pipes, Ctrl-C, colours, and where their options come from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ociwriter import Entry, ImageWriter
from redoubt.cli.entry import LazyGroup, run
from redoubt.cli.redoubt import redoubt as redoubt_group
from redoubt.cli.roxctl import roxctl as roxctl_group
from support.cli import Cli

LODASH = Entry("srv/node_modules/lodash/package.json", b'{"name":"lodash","version":"4.17.15"}')


def commands(group: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command of a CLI with the words that call it."""
    yield path, group
    if isinstance(group, LazyGroup):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from commands(command, *path, name)


EVERY = [("redoubt", *each) for each in commands(redoubt_group)] + [
    ("roxctl", *each) for each in commands(roxctl_group)
]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return ImageWriter().add([LODASH]).write_docker_archive(tmp_path / "image.tar")


@pytest.mark.parametrize(("program", "words", "command"), EVERY, ids=[" ".join(x[:1] + x[1]) for x in EVERY])
def test_every_command_explains_itself(
    program: str, words: tuple[str, ...], command: click.Command, empty: Cli
) -> None:
    context = click.Context(command, info_name=program)
    text = command.get_help(context)
    assert text.startswith("Usage: ")
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{parameter.name} has no help"
            long = max((name for name in parameter.opts if name.startswith("--")), key=len)
            # What the environment and the configuration file call it is what the command line calls it.
            assert parameter.name == long.removeprefix("--").replace("-", "_")
    assert empty(*words, "--help", program=program).stdout.startswith(f"Usage: {program}")


@pytest.mark.parametrize("words", [(), ("definitions",), ("definitions", "trust")])
def test_a_group_alone_shows_its_commands_and_is_a_usage_error(empty: Cli, words: tuple[str, ...]) -> None:
    done = empty(*words, code=2)
    assert done.stdout == ""
    assert done.stderr.startswith("Usage: redoubt")
    assert "\nCommands:\n" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (("scna",), 2, "did you mean 'scan'"),
        (("scan",), 2, "redoubt scan --help"),
        (("scan", "x", "--fial-on", "high"), 2, "--fail-on"),
        (("scan", "x", "--fail-on", "banana"), 2, "'critical'"),
        (("scan", "x", "--warn-after", "3"), 2, "5d"),
        (("scan", "x", "--username", "me"), 2, "--password-stdin"),
        (("scan", "x", "--output-file", "/nowhere/x.html"), 2, "no folder /nowhere"),
        (("scan", "./nothing.tar"), 3, "no such file"),
        (("scan", "dir:/", "--platform", "linux/amd64"), 2, "--platform"),
        (("match", "-"), 3, "JSON"),
    ],
)
def test_errors_are_one_line_that_says_what_to_do(
    redoubt: Cli, words: tuple[str, ...], code: int, hint: str
) -> None:
    done = redoubt(*words, code=code, stdin="\x00garbage")
    assert done.stdout == ""
    assert done.stderr.startswith("redoubt: error: ")
    assert done.stderr.count("\n") == 1
    assert hint in done.stderr


def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    starter_home: Path, target: Path, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[scan]\nfail-on = "low"\noutput = "json"\n')
    configured = Cli(starter_home, {"REDOUBT_CONFIG": str(file)})
    assert configured("scan", target, code=1).stdout.startswith("{")
    both = Cli(starter_home, {"REDOUBT_CONFIG": str(file), "REDOUBT_SCAN_FAIL_ON": "critical"})
    both("scan", target, code=0)
    both("scan", target, "--fail-on", "medium", code=1)
    assert both("scan", target, "-o", "table").stdout.startswith("Image")
    wrong = Cli(starter_home, {"REDOUBT_SCAN_FAIL_ON": "banana"})
    assert "banana" in wrong("scan", target, code=2).stderr
    mistyped = Cli(starter_home, {"REDOUBT_SCAN_FIAL_ON": "low"})
    assert "did you mean 'REDOUBT_SCAN_FAIL_ON'" in mistyped("scan", target).stderr


def test_a_wrong_value_says_where_it_was_set(starter_home: Path, target: Path, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[scan]\nfail-on = "banana"\n')
    said = Cli(starter_home, {"REDOUBT_CONFIG": str(file)})("scan", target, code=2).stderr
    assert f"'critical' (from {file});" in said
    said = Cli(starter_home, {"REDOUBT_SCAN_FAIL_ON": "banana"})("scan", target, code=2).stderr
    assert "'critical' (from REDOUBT_SCAN_FAIL_ON);" in said
    assert "(from" not in Cli(starter_home)("scan", target, "--fail-on", "banana", code=2).stderr


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (b'[scan]\nfial-on = "high"', "did you mean 'fail-on'"),
        (b'[scann]\nfail-on = "high"', "did you mean 'scan'"),
        (b"scan = 3", "[scan]"),
        (b'[scan]\nfail-on = ["high"]', "text in quotes"),
        (b'[scan]\nfail-on = "banana"', "banana"),
        (b'[scan]\nonly-fixed = "yes"', "true or false"),
        (b"[scan", "not valid TOML"),
        (b"\xff", "UTF-8"),
        (b"a = " + b"[" * 20_000, "TOML"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(
    starter_home: Path, target: Path, tmp_path: Path, text: bytes, hint: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(text)
    done = Cli(starter_home, {"REDOUBT_CONFIG": str(file)})("scan", target, code=2)
    assert hint in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_fault_of_our_own_is_one_line_and_never_taken_for_findings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def faulty() -> None:
        raise KeyError("gone")

    monkeypatch.setattr(sys, "argv", ["redoubt"])
    monkeypatch.delenv("REDOUBT_DEBUG", raising=False)
    with pytest.raises(SystemExit) as left:
        run(faulty, "redoubt")
    assert left.value.code == 70
    assert "KeyError: 'gone'" in capsys.readouterr().err
    monkeypatch.setenv("REDOUBT_DEBUG", "1")
    with pytest.raises(KeyError):
        run(faulty, "redoubt")


def test_offline_a_mistyped_name_is_not_told_to_docker_hub(starter_home: Path) -> None:
    offline = Cli(starter_home, {"REDOUBT_OFFLINE": "1"})
    said = offline("scan", "shpo", code=6).stderr
    assert "registry-1.docker.io was not named by you" in said
    assert "nothing of the name shpo lies here" in said


def test_a_folder_that_is_no_root_is_not_said_to_be_absent(
    starter_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path)
    said = Cli(starter_home, {"REDOUBT_OFFLINE": "1"})("scan", "src", code=6).stderr
    assert "the folder src has no operating system in it; dir:src reads it all the same" in said


def test_starter_definitions_are_said_in_every_form(redoubt: Cli, target: Path) -> None:
    note = "starter definitions: dated, facts only, for trying out"
    assert note in redoubt("scan", target).stdout
    assert note in redoubt("scan", target, "-o", "html").stdout
    assert note in redoubt("scan", target, "-o", "json").stderr
    assert note in redoubt("scan", target, "-o", "cyclonedx").stderr


def test_stale_definitions_stop_a_pipeline_only_where_asked(redoubt: Cli, target: Path) -> None:
    assert "days old" in redoubt("scan", target, "-q").stderr
    stopped = redoubt("scan", target, "--fail-on-stale", code=4)
    assert stopped.stdout == ""
    fresh = redoubt("scan", target, "-q", "--fail-on-stale", "--warn-after", "5000w")
    assert fresh.stderr == ""


def test_a_reader_that_goes_away_changes_no_exit_code(redoubt: Cli, target: Path) -> None:
    for words, expected in (
        (f"scan {target} --fail-on low", 1),
        (f"scan {target}", 0),
        ("definitions info", 0),
        ("--help", 0),
    ):
        program = Path(sys.executable).with_name("redoubt")
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {program} {words} | true; exit ${{PIPESTATUS[0]}}"],
            env=redoubt.variables(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == expected, words
        assert "error" not in done.stderr


@pytest.mark.parametrize(
    ("redirection", "code"),
    [(">&-", 0), ("2>&-", 0), ("<&-", 0), (">/dev/full", 5), ("2>/dev/full", 0)],
)
def test_closed_and_full_streams_are_no_crash(
    redoubt: Cli, target: Path, redirection: str, code: int
) -> None:
    program = Path(sys.executable).with_name("redoubt")
    done = subprocess.run(
        ["bash", "-c", f"{program} scan {target} {redirection}"],
        env=redoubt.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_a_device_is_written_to_and_a_link_followed(redoubt: Cli, target: Path, tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link.json"
    os.mkfifo(pipe)
    link.symlink_to("real.json")
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        redoubt("scan", target, "-o", "json", "--output-file", pipe)
        assert reader.communicate()[0].startswith(b"{")
    assert pipe.is_fifo()
    redoubt("scan", target, "--output-file", link)
    assert link.is_symlink()
    assert (tmp_path / "real.json").read_text().startswith("{")


def test_what_a_link_leads_to_is_opened_by_the_kernel_and_not_replaced(
    redoubt: Cli, target: Path, tmp_path: Path
) -> None:
    """Its rule for links in world-writable folders (``fs.protected_symlinks``) holds only where it follows them."""
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.touch()
    link.symlink_to(real)
    before = real.stat().st_ino
    redoubt("scan", target, "--output-file", link)
    assert real.stat().st_ino == before
    assert real.read_text().startswith("{")


def test_no_colours_but_on_a_terminal_that_wants_them(redoubt: Cli, target: Path) -> None:
    done = redoubt("scan", target)
    assert "\x1b" not in done.stdout + done.stderr


def test_names_outside_the_locale_do_not_break_messages(starter_home: Path) -> None:
    plain = Cli(starter_home, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    assert "no such file" in plain("scan", "./bildschirmgröße.tar", code=3).stderr


@pytest.mark.parametrize(
    "words",
    [
        ("scan", "--username", "me", "--password-stdin", "localhost:1/shop", "--output-file", "out.json"),
        ("match", "-", "--output-file", "out.json"),
    ],
)
def test_ctrl_c_is_130_without_a_word_or_litter(redoubt: Cli, tmp_path: Path, words: tuple[str, ...]) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    program = str(Path(sys.executable).with_name("redoubt"))
    with subprocess.Popen(
        [program, *words],
        env=redoubt.variables(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        preexec_fn=_heeds_ctrl_c,
    ) as process:
        _wait_until_asleep(process.pid)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=30)
    assert (process.returncode, out, error) == (130, b"", b"")
    assert list(folder.iterdir()) == []


def _heeds_ctrl_c() -> None:
    """What a shell runs in the background ignores SIGINT, and so does what that starts; a suite may be such."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _wait_until_asleep(process: int) -> None:
    """Until the command waits for its input: asleep, with all that it imports imported."""
    deadline = time.monotonic() + 20
    calm = 0
    while calm < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        calm = calm + 1 if state == "S" else 0
    assert calm == 5
