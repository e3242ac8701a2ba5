"""Global options: where they may stand, which of several counts, and what they must not be."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from redoubt.cli.roxctl import credentials, endpoint, options, roxctl, settings
from redoubt.cli.roxctl.endpoint import Endpoint
from redoubt.cli.roxctl.settings import Settings
from redoubt.errors import UsageError
from support.inprocess import invoke

SEEN: list[tuple[Settings, str]] = []


@options.command(timeout="1m", retry=True)
@click.option("--loud", is_flag=True)
@click.option("--word", "words", multiple=True, type=options.Words(("LOW", "HIGH")))
@click.pass_context
def probe(ctx: click.Context, loud: bool, words: tuple[str, ...]) -> None:
    """Keeps what it was told."""
    chosen = credentials.choose(ctx)
    SEEN.append((settings.load(ctx), chosen.source if chosen else ""))
    click.echo(f"loud={loud} words={options.split(words)} header={chosen.header if chosen else ''}")


@options.group({"probe": (f"{__name__}:probe", "Keep.")})
def below() -> None:
    """A group."""


@options.group({"below": (f"{__name__}:below", "Group.")})
def root() -> None:
    """The root."""


def told(*words: str | Path, code: int = 0, **variables: str) -> Settings:
    invoke(root, *words, code=code, environment=variables)
    return SEEN[-1][0]


def refused(*words: str | Path, code: int = 2, **variables: str) -> str:
    return invoke(root, *words, code=code, environment=variables).stderr


@pytest.mark.parametrize(
    "words",
    [
        ("-e", "central:1", "below", "probe"),
        ("below", "-e", "central:1", "probe"),
        ("below", "probe", "-e", "central:1"),
        ("below", "probe", "--endpoint=central:1"),
        ("below", "probe", "-e=central:1"),
        ("-e", "other:2", "below", "probe", "-e", "central:1"),
    ],
)
def test_global_options_stand_anywhere_and_the_last_one_counts(words: tuple[str, ...]) -> None:
    assert told(*words, ROX_ENDPOINT="env:3").endpoint == Endpoint("central", 1)


def test_flag_beats_environment_beats_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('endpoint = "file:1"\nserver-name = "file"\ninsecure-skip-tls-verify = true\n')
    variables = {"ROXCTL_CONFIG": str(file)}
    assert told("below", "probe", **variables).endpoint.name == "file:1"
    assert told("below", "probe", **variables).skip_verify
    assert told("below", "probe", "-s", "flag", **variables).server_name == "flag"
    variables |= {
        "ROX_ENDPOINT": "env:2",
        "ROX_SERVER_NAME": "env",
        "ROX_INSECURE_CLIENT_SKIP_TLS_VERIFY": "false",
    }
    seen = told("below", "probe", **variables)
    assert (seen.endpoint.name, seen.server_name, seen.skip_verify) == ("env:2", "env", False)
    assert told("below", "probe", "--insecure-skip-tls-verify", **variables).skip_verify


def test_a_mistyped_option_in_the_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('endpiont = "file:1"\n')
    assert "no command 'endpiont'" in refused("below", "probe", ROXCTL_CONFIG=str(file))
    file.write_text("endpoint = true\n")
    assert "'endpoint' wants text" in refused("below", "probe", ROXCTL_CONFIG=str(file))
    file.write_text('password = "secret"\n')
    message = refused("below", "probe", ROXCTL_CONFIG=str(file))
    assert "does not belong in a configuration file" in message
    assert "secret" not in message


def test_the_address_of_the_documents_comes_after_rox_endpoint() -> None:
    assert told("below", "probe", ROX_CENTRAL_ADDRESS="docs:1").endpoint.name == "docs:1"
    assert told("below", "probe", ROX_CENTRAL_ADDRESS="docs:1", ROX_ENDPOINT="env:2").endpoint.name == "env:2"
    default = told("below", "probe").endpoint
    assert (default.name, default.explicit) == ("localhost:8443", False)


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (("--loud",), "loud=True"),
        (("--loud=true",), "loud=True"),
        (("--loud=false",), "loud=False"),
        (("--loud", "--word", "low,High"), "words=['LOW', 'HIGH']"),
        (("--word=LOW", "--word", "high"), "words=['LOW', 'HIGH']"),
    ],
)
def test_flags_as_go_writes_them(words: tuple[str, ...], out: str) -> None:
    assert out in invoke(root, "below", "probe", *words).stdout


def test_false_by_flag_beats_true_by_environment() -> None:
    told("below", "probe", "--plaintext=false", ROX_PLAINTEXT="true")
    assert not SEEN[-1][0].endpoint.plaintext


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--loud=perhaps",), "neither true nor false"),
        (("--word", "MIDDLE"), "'MIDDLE' is none of LOW, HIGH"),
        (("-t", "10"), "write for example 90s or 5m"),
        (("-t", "25h"), "more than a day"),
        (("-e", "central"), "has no port; write central:443 or https://central"),
        (("-e", ""), "--endpoint is empty"),
        (("--ca", "/nonexistent/ca.pem"), "no such CA file"),
        (("--ca", "/dev/null"), "is no file"),
        (("--plaintext",), "add --insecure"),
        (("-e", "http://central"), "add --insecure"),
        (("--plaintext", "--insecure", "-e", "https://central"), "contradict each other"),
        (("--use-current-k8s-context", "-e", "central:1"), "exclude each other"),
    ],
)
def test_what_cannot_be_meant_is_a_line(words: tuple[str, ...], message: str) -> None:
    stderr = refused("below", "probe", *words)
    assert message in stderr
    assert stderr.count("\n") == 1


def test_an_environment_that_cannot_be_meant_is_named() -> None:
    assert "ROX_PLAINTEXT is 'perhaps'" in refused("below", "probe", ROX_PLAINTEXT="perhaps")
    assert "ROX_CLIENT_MAX_RETRIES" in refused("below", "probe", ROX_CLIENT_MAX_RETRIES="many")


def test_times_are_read_as_go_reads_them() -> None:
    seen = told("below", "probe", "-t", "1h2m3.5s", "--retry-timeout", "0")
    assert (seen.timeout, seen.retry_timeout) == (3723.5, 0.0)
    assert (told("below", "probe").timeout, told("below", "probe").retry_timeout) == (None, 20.0)


def test_plaintext_is_possible_where_it_is_meant() -> None:
    assert told("below", "probe", "--insecure", "-e", "http://central").endpoint.url == "http://central:80"
    assert told("below", "probe", "--insecure", "--plaintext", "-e", "c:8").endpoint.url == "http://c:8"


def test_the_ca_is_looked_for_in_roxctls_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".roxctl").mkdir(parents=True)
    assert told("below", "probe", HOME=str(home)).ca is None
    (home / ".roxctl" / "ca.pem").write_text("")
    assert told("below", "probe", HOME=str(home)).ca == home / ".roxctl" / "ca.pem"
    assert told("below", "probe", HOME=str(home), ROX_CONFIG_DIR=str(tmp_path)).ca is None


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("central:8443", "https://central:8443"),
        ("https://central", "https://central:443"),
        ("https://central/", "https://central:443"),
        ("HTTPS://central:9", "https://central:9"),
        ("http://central", "http://central:80"),
        ("[::1]:8443", "https://[::1]:8443"),
        ("https://[::1]", "https://[::1]:443"),
    ],
)
def test_endpoints(text: str, url: str) -> None:
    assert endpoint.parse(text).url == url


@pytest.mark.parametrize(
    "text",
    [
        *(
            "central",
            "central:",
            ":8443",
            "",
            "central:port",
            "central:99999",
            "central:0",
            "::1:8443",
            "::1",
        ),
        *(
            "ftp://central",
            "https://",
            "https://central/path",
            "central:1/path",
            "central:1?q",
            "https://c#f",
        ),
        *("https://me:secret@central", "https://cen tral", "[::1", "https://[zz]", "//central:1"),
    ],
)
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(UsageError) as refusal:
        endpoint.parse(text)
    assert "secret" not in str(refusal.value)


TOKEN_FILE = "the-token-of-the-file"


@pytest.mark.parametrize(
    ("words", "variables", "source"),
    [
        ((), {}, ""),
        (("-p", "x"), {}, "--password"),
        (("-p", "x"), {"ROX_API_TOKEN": "t"}, "--password"),
        ((), {"ROX_ADMIN_PASSWORD": "x"}, "ROX_ADMIN_PASSWORD"),
        ((), {"ROX_API_TOKEN": "t"}, "ROX_API_TOKEN"),
        ((), {"ROX_API_TOKEN_FILE": "FILE"}, "FILE"),
        (("--token-file", "FILE"), {}, "FILE"),
        (("--token-file", "FILE"), {"ROX_ADMIN_PASSWORD": "x", "ROX_API_TOKEN": "t"}, "FILE"),
        ((), {"ROX_API_TOKEN": "t", "ROX_API_TOKEN_FILE": "FILE"}, "FILE"),
    ],
)
def test_which_credentials_are_sent(
    words: tuple[str, ...], variables: dict[str, str], source: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN_FILE}\n")
    words = tuple(str(file) if word == "FILE" else word for word in words)
    variables = {name: str(file) if value == "FILE" else value for name, value in variables.items()}
    out = invoke(root, "below", "probe", *words, environment=variables).stdout
    assert SEEN[-1][1] == (str(file) if source == "FILE" else source)
    if source == "FILE":
        assert f"header=Bearer {TOKEN_FILE}" in out
    elif "PASSWORD" in source.upper():
        assert "header=Basic YWRtaW46eA==" in out


@pytest.mark.parametrize(
    ("words", "variables", "message"),
    [
        (("-p", "x", "--token-file", "f"), {}, "leave out --password or --token-file"),
        ((), {"ROX_ADMIN_PASSWORD": "x", "ROX_API_TOKEN": "t"}, "unset ROX_ADMIN_PASSWORD or ROX_API_TOKEN"),
        ((), {"ROX_ADMIN_PASSWORD": "x", "ROX_API_TOKEN_FILE": "f"}, "ROX_API_TOKEN_FILE"),
        (("-p", ""), {}, "--password is empty"),
        (("-p", "p\udce4ss"), {}, "--password is no UTF-8"),
        ((), {"ROX_ADMIN_PASSWORD": "p\udce4ss"}, "ROX_ADMIN_PASSWORD is no UTF-8"),
        (("--token-file", ""), {}, "--token-file is empty"),
        ((), {"ROX_API_TOKEN": "two words"}, "one word on one line"),
    ],
)
def test_credentials_that_cannot_be_meant(
    words: tuple[str, ...], variables: dict[str, str], message: str
) -> None:
    assert message in refused("below", "probe", *words, **variables)


@pytest.mark.parametrize("content", ["", " \n", "two words", "two\nlines", "\x1b[31mred", "ünsafe"])
def test_a_file_without_one_token_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(content)
    invoke(root, "below", "probe", "--token-file", tmp_path / "token", code=3 if not content.strip() else 2)
    assert "no such token file" in refused("below", "probe", "--token-file", tmp_path / "none", code=3)


def test_standard_output_goes_where_rox_stdout_says(tmp_path: Path) -> None:
    file = tmp_path / "out"
    assert invoke(roxctl, "version", environment={"ROX_STDOUT": str(file)}).stdout == ""
    assert file.read_text().strip()
    message = invoke(
        roxctl, "version", code=5, environment={"ROX_STDOUT": str(tmp_path / "no" / "out")}
    ).stderr
    assert "ROX_STDOUT" in message


def test_every_command_has_help_and_says_where_global_options_are() -> None:
    def walk(group: click.Group, words: tuple[str, ...]) -> None:
        for name in group.list_commands(click.Context(group)):
            command = group.get_command(click.Context(group), name)
            assert command is not None
            shown = invoke(roxctl, *words, name, "--help").stdout
            assert "roxctl --help" in " ".join(shown.split()), name
            if isinstance(command, click.Group):
                walk(command, (*words, name))

    walk(roxctl, ())
