"""Settings of Central."""

from __future__ import annotations

from pathlib import Path

import pytest

from redoubt import configuration
from redoubt.central.config import Settings, load
from redoubt.errors import UnreadableInput, UsageError


def written(folder: Path, text: str) -> Path:
    path = folder / "central.yaml"
    path.write_text(text)
    return path


def test_flags_win_over_the_environment_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "port: 1\nhost: a\nlog_level: debug\n")
    environment = {"REDOUBT_CENTRAL_PORT": "2", "REDOUBT_CENTRAL_HOST": "b"}
    found = load(file, environment=environment, flags={"port": 3, "host": None})
    assert (found.port, found.host, found.log_level) == (3, "b", "debug")


@pytest.mark.parametrize(
    ("environment", "field", "value"),
    [
        ({"ROX_OFFLINE_MODE": "true"}, "offline", True),
        ({"REDOUBT_OFFLINE": "no"}, "offline", False),
        ({"REDOUBT_CENTRAL_OFFLINE": "0", "ROX_OFFLINE_MODE": "1"}, "offline", False),
        ({}, "offline", None),
        ({"ROX_ADMIN_PASSWORD": " x "}, "admin_password", "x"),
        ({"REDOUBT_CENTRAL_TRUSTED_PROXIES": "10.0.0.0/8, ::1,"}, "trusted_proxies", ["10.0.0.0/8", "::1"]),
        ({"REDOUBT_CENTRAL_CONFIG": "read already"}, "data", Path("/var/lib/redoubt")),
        ({"REDOUBT_DATA_DIR": "/somewhere"}, "data", Path("/somewhere")),
    ],
)
def test_variables(environment: dict[str, str], field: str, value: object) -> None:
    assert getattr(load(environment=environment), field) == value


@pytest.mark.parametrize(
    "text", ["ports: 1", "port: many", "port: '1'", "- port", "offline: 1", "1: 2", "trusted_proxies: x"]
)
def test_a_file_with_what_is_unknown_or_mistyped_is_refused_and_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"central\.yaml"):
        load(written(tmp_path, text), environment={})


@pytest.mark.parametrize(
    "text", ["{", "a: &a [*a", "\x00", "[" * 1500, "port: 1\nport: !!python/object:x {}"]
)
def test_a_file_that_is_no_yaml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnreadableInput):
        load(written(tmp_path, text), environment={})


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    assert load(written(tmp_path, ""), environment={}) == Settings()


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="no such"):
        load(tmp_path / "none", environment={})


@pytest.mark.parametrize(
    ("name", "value"),
    [("REDOUBT_CENTRAL_PORTS", "1"), ("REDOUBT_CENTRAL_PORT", "many"), ("ROX_OFFLINE_MODE", "perhaps")],
)
def test_a_variable_that_is_unknown_or_mistyped_is_refused_and_named(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=name):
        load(environment={name: value})


@pytest.mark.parametrize(
    "flags", [{"port": 70000}, {"log_format": "xml"}, {"audit_days": 0}, {"definitions_store": "tape"}]
)
def test_values_that_cannot_be_meant_are_refused(flags: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        load(environment={}, flags=flags)


def test_secrets_are_not_shown() -> None:
    shown = repr(Settings(admin_password="geheim", database_url="postgresql://a:geheim@b/c"))
    assert "geheim" not in shown
    assert "port=8443" in shown


def test_a_flag_sets_what_a_variable_can_and_wins() -> None:
    said = ["scans_at_once=8", "offline=no", "trusted-proxies=10.0.0.0/8,::1", "kernel_objects_url="]
    flags = configuration.given(Settings, said)
    found = load(environment={"REDOUBT_CENTRAL_SCANS_AT_ONCE": "2"}, flags=flags)
    assert (found.scans_at_once, found.offline) == (8, False)
    assert found.trusted_proxies == ["10.0.0.0/8", "::1"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("scans_at_once", "write NAME=VALUE"),
        ("scan_at_once=1", "did you mean scans_at_once"),
        ("scans_at_once=many", "--set scans_at_once: Expected int"),
        ("admin_password=x", "others can read a command line"),
        ("database_url=x", "others can read a command line"),
    ],
)
def test_a_flag_that_is_none_is_refused(said: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        configuration.given(Settings, [said])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scans_at_once", 0),
        ("scans_at_once", 257),
        ("scans_waiting", 0),
        ("scan_seconds", 0),
        ("scan_seconds", float("nan")),
        ("watch_seconds", 59),
        ("service_patience_seconds", -1),
        ("registry_tries", 0),
        ("registry_pause_seconds", -0.1),
        ("registry_longest_pause_seconds", float("inf")),
        ("login_token_seconds", 59),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name):
        load(environment={}, flags={name: value})


def test_a_value_is_what_its_bytes_say_whatever_the_locale() -> None:
    read_as_ascii = "pä☃ss".encode().decode("ascii", "surrogateescape")
    assert load(environment={"ROX_ADMIN_PASSWORD": read_as_ascii}).admin_password == "pä☃ss"
    with pytest.raises(UsageError, match="ROX_ADMIN_PASSWORD: it is no UTF-8"):
        load(environment={"ROX_ADMIN_PASSWORD": "p\udce4ss"})
