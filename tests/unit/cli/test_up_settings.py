"""``redoubt up --set``: settings of the services that it starts."""

from __future__ import annotations

import pytest

from redoubt.cli.redoubt.up import Child
from redoubt.cli.redoubt.upsettings import wanted
from redoubt.errors import UsageError


def test_settings_become_variables_of_their_service() -> None:
    said = ("central.scans-at-once=8", "indexer.workers = 4", "matcher.simultaneous=1")
    assert wanted(said) == {
        "central": {"REDOUBT_CENTRAL_SCANS_AT_ONCE": "8"},
        "indexer": {"REDOUBT_SCANNER_WORKERS": "4"},
        "matcher": {"REDOUBT_SCANNER_SIMULTANEOUS": "1"},
    }


@pytest.mark.parametrize(
    "text", ["", "central", "scans_at_once=8", "sensor.port=1", "central.scans_at_once", "central.x=1"]
)
def test_what_is_no_setting_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        wanted((text,))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("central.log_level=banana", r"--set central\.log_level is trace, .* or fatal, not 'banana'"),
        ("central.definitions_store=moon", r"--set central\.definitions_store is disk or database"),
        ("central.definitions_store=Database", r"--set central\.definitions_store is disk or database"),
        ("matcher.log_format=JSON", r"--set matcher\.log_format is json or console"),
        ("central.login_token_seconds=-1", r"--set central\.login_token_seconds is 60 at least"),
        ("indexer.worker=3", r"--set indexer\.worker: no such setting; did you mean indexer\.workers\?"),
        ("matcher.workers=many", r"--set matcher\.workers: Expected int"),
    ],
)
def test_what_a_service_would_refuse_is_refused_before_anything_starts(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        wanted((text,))


def test_what_up_decides_itself_stays_its_own() -> None:
    child = Child("central", {"REDOUBT_CENTRAL_PORT": "8443"})
    with pytest.raises(UsageError, match=r"--set central\.port: `redoubt up` decides that itself"):
        child.also({"central": {"REDOUBT_CENTRAL_PORT": "1"}})
    child.also({"central": {"REDOUBT_CENTRAL_AUDIT_DAYS": "7"}, "indexer": {"REDOUBT_SCANNER_WORKERS": "1"}})
    assert child.environment == {"REDOUBT_CENTRAL_PORT": "8443", "REDOUBT_CENTRAL_AUDIT_DAYS": "7"}
