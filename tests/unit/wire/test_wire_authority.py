"""The CA, what it issues, and how another takes its place."""

from __future__ import annotations

import datetime as dt
import ssl
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from redoubt.errors import UnreadableInput, UsageError
from redoubt.wire import authority as module
from redoubt.wire.authority import Authority, Issued
from redoubt.wire.identity import NAMESPACE, Service


def leaf(issued: Issued) -> x509.Certificate:
    return x509.load_pem_x509_certificate(issued.certificate)


def test_a_leaf_says_who_it_is_of_and_which_names_it_has(tmp_path: Path) -> None:
    issued = Authority.create(tmp_path).issue(
        Service.SCANNER_V4_INDEXER, hosts=["127.0.0.1", "::1", "indexer.example"], bundle_id="bundle-1"
    )
    certificate = leaf(issued)
    told = {attribute.oid: attribute.value for attribute in certificate.subject}
    assert told == {
        NameOID.COMMON_NAME: "SCANNER_V4_INDEXER_SERVICE: Scanner V4 Indexer",
        NameOID.ORGANIZATIONAL_UNIT_NAME: "SCANNER_V4_INDEXER_SERVICE",
        NameOID.ORGANIZATION_NAME: "bundle-1",
    }
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        f"scanner-v4-indexer.{NAMESPACE}",
        f"scanner-v4-indexer.{NAMESPACE}.svc",
        "indexer.example",
    ]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


def test_a_sensor_serves_webhooks_under_a_name_of_their_own() -> None:
    assert Service.SENSOR.hosts("security") == (
        "sensor.security",
        "sensor.security.svc",
        "sensor-webhook.security",
        "sensor-webhook.security.svc",
    )


def test_a_leaf_is_valid_for_as_long_as_was_asked_and_never_longer_than_its_ca(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path)
    now = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)
    now = dt.datetime.now(dt.UTC)
    short = leaf(authority.issue(Service.SENSOR, "cluster", days=3 / 24, now=now))
    assert abs(short.not_valid_after_utc - now - dt.timedelta(hours=3)) < dt.timedelta(seconds=2)
    assert abs(now - short.not_valid_before_utc - dt.timedelta(hours=1)) < dt.timedelta(seconds=2)
    assert leaf(authority.issue(Service.SENSOR, days=100_000)).not_valid_after_utc == authority.expires


def test_a_ca_is_made_once_also_when_several_begin_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = {a.trusted for a in pool.map(lambda _: Authority.create(tmp_path / "ca"), range(16))}
    assert len(made) == 1
    assert Authority.load(tmp_path / "ca").trusted in made
    assert stat.S_IMODE((tmp_path / "ca" / "ca-key.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "ca").stat().st_mode) == 0o700
    assert not [p for p in (tmp_path / "ca").iterdir() if p.name.startswith(".")]


def test_a_ca_that_was_half_made_is_made_again(tmp_path: Path) -> None:
    Authority.create(tmp_path)
    (tmp_path / "ca.pem").unlink()  # the key is written first
    authority = Authority.create(tmp_path)
    assert authority.issued(authority.issue(Service.CENTRAL).certificate)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ca.pem", None, "there is no such file"),
        ("ca.pem", b"", "no certificate in PEM form"),
        (
            "ca.pem",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "no certificate in PEM form",
        ),
        ("ca-key.pem", None, "is not the key of ca.pem"),
        ("ca-key.pem", b"nothing", "no private key in PEM form"),
        ("ca-secondary.pem", b"nothing", "no certificate in PEM form"),
    ],
)
def test_a_folder_without_a_usable_ca_is_told(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    Authority.create(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableInput, match=message):
        Authority.load(tmp_path)


def test_the_key_of_another_ca_is_told(tmp_path: Path) -> None:
    Authority.create(tmp_path / "a")
    Authority.create(tmp_path / "b")
    (tmp_path / "a/ca-key.pem").write_bytes((tmp_path / "b/ca-key.pem").read_bytes())
    with pytest.raises(UnreadableInput, match=r"is not the key of ca\.pem"):
        Authority.load(tmp_path / "a")


def test_a_ca_is_exchanged_in_three_steps(tmp_path: Path) -> None:
    old = Authority.create(tmp_path)
    staged = old.stage()
    assert staged.certificate == old.certificate
    assert staged.trusted.count(b"BEGIN") == 2
    assert staged.trusted.startswith(old.trusted)
    with pytest.raises(UsageError, match="staged already"):
        staged.stage()
    with pytest.raises(UsageError, match="switch to it first"):
        staged.retire()
    switched = staged.switch()
    assert switched.certificate != old.certificate
    assert switched.trusted.endswith(old.trusted)
    assert switched.issued(switched.issue(Service.CENTRAL).certificate)
    assert not switched.issued(old.issue(Service.CENTRAL).certificate)
    with pytest.raises(UsageError, match="no new CA is staged"):
        switched.switch()
    with pytest.raises(UsageError, match="retire it first"):
        switched.stage()
    retired = switched.retire()
    assert retired.trusted.count(b"BEGIN") == 1
    assert retired.certificate == switched.certificate
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ca-key.pem", "ca.pem"]


@pytest.mark.parametrize("writes", range(8))
def test_an_exchange_that_is_killed_can_be_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    authority = Authority.create(tmp_path).stage()
    both = set(x509.load_pem_x509_certificates(authority.trusted))
    left = [writes]
    real = module._write

    def dying(path: Path, data: bytes, mode: int) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        real(path, data, mode)

    monkeypatch.setattr(module, "_write", dying)
    if writes < 4:
        with pytest.raises(KeyboardInterrupt):
            authority.switch()
    else:
        authority.switch()
    monkeypatch.undo()
    after = Authority.load(tmp_path)
    assert set(x509.load_pem_x509_certificates(after.trusted)) == both
    assert after.issued(after.issue(Service.CENTRAL).certificate)
    if (tmp_path / "ca-secondary-key.pem").exists():
        after = after.switch()
    assert set(x509.load_pem_x509_certificates(after.retire().trusted)) == both - {authority.certificate}


def test_what_is_issued_lies_where_services_look(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca")
    authority.issue(Service.CENTRAL).write(tmp_path / "central")
    context = ssl.create_default_context(cafile=tmp_path / "central/ca.pem")
    context.load_cert_chain(tmp_path / "central/cert.pem", tmp_path / "central/key.pem")
    assert stat.S_IMODE((tmp_path / "central/key.pem").stat().st_mode) == 0o600


def test_a_host_that_no_certificate_can_bear_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no host name"):
        Authority.create(tmp_path).issue(Service.CENTRAL, hosts=["bücher.example"])
