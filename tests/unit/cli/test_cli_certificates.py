"""``redoubt certificates``."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from redoubt.cli.redoubt import redoubt
from redoubt.errors import RedoubtError, UnreadableInput, UsageError
from redoubt.wire.authority import Authority
from redoubt.wire.material import Files, Material


def call(*words: str | Path) -> str:
    """What is printed. Raises what the command raises."""
    done = CliRunner().invoke(redoubt, ["certificates", *map(str, words)], catch_exceptions=True)
    if isinstance(done.exception, RedoubtError):
        raise done.exception
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_a_service_is_given_a_folder_that_it_can_use(tmp_path: Path) -> None:
    ca, folder = tmp_path / "ca", tmp_path / "matcher"
    call("init", ca)
    assert "is valid until" in call("init", ca)
    call("issue", ca, "scanner-v4-matcher", folder, "--host", "matcher.site.example", "--days", "3")
    assert Material(Files.within(folder)).fingerprint
    told = call("show", folder)
    assert "SCANNER_V4_MATCHER_SERVICE: Scanner V4 Matcher, until " in told
    assert "matcher.site.example" in told
    assert "Redoubt Certificate Authority" in told
    assert "key.pem" not in told


def test_a_ca_is_exchanged(tmp_path: Path) -> None:
    ca, folder = tmp_path / "ca", tmp_path / "central"
    call("init", ca)
    call("issue", ca, "central", folder)
    first = call("trust", ca)
    call("stage", ca)
    call("trust", ca, folder)
    both = (folder / "ca.pem").read_text()
    assert both.startswith(first)
    assert both.count("BEGIN") == 2
    call("switch", ca)
    call("issue", ca, "central", folder)
    call("retire", ca)
    call("trust", ca, folder)
    assert (folder / "ca.pem").read_text() == call("trust", ca) != first
    assert Authority.load(ca).issued((folder / "cert.pem").read_bytes())
    assert Material(Files.within(folder)).fingerprint


def test_what_cannot_be_done_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="there is no such file"):
        call("issue", tmp_path / "none", "central", tmp_path / "central")
    call("init", tmp_path / "ca")
    with pytest.raises(UsageError, match=r"no service 'sentral'; there are central, "):
        call("issue", tmp_path / "ca", "sentral", tmp_path / "central")
    with pytest.raises(UsageError, match="no new CA is staged"):
        call("switch", tmp_path / "ca")
    (tmp_path / "bad.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(UnreadableInput, match="no certificate in PEM form"):
        call("show", tmp_path / "bad.pem")
