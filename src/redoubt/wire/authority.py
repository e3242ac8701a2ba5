"""The CA that says who is a service: made once, kept in a folder, and exchanged without a moment of distrust.

``ca.pem`` and ``ca-key.pem`` (0600) are the CA; ``ca-secondary.pem``, if there, is trusted beside it, and has a key
while it is the one to come. It must not know who asks for certificates, or where they go.

A CA is exchanged in three steps, each followed by giving every service what changed: ``stage`` makes the next one and has
it trusted, ``switch`` signs with it from now on, ``retire`` trusts the old one no more. Killed between any two
writes, the folder still loads, and the step can be taken again.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import ipaddress
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from redoubt.errors import AccessDenied, UnreadableInput, UsageError
from redoubt.wire.identity import NAMESPACE, Service

CERTIFICATE, KEY = "ca.pem", "ca-key.pem"
SECONDARY, SECONDARY_KEY = "ca-secondary.pem", "ca-secondary-key.pem"
#: Days that a CA, and what it issues, is valid.
CA_DAYS = 5 * 365
DAYS = 365
#: Certificates begin in the past, for peers whose clocks are behind.
_GRACE = dt.timedelta(hours=1)


class Issued(msgspec.Struct, frozen=True):
    """A leaf certificate, its key, and the CAs to trust, all in PEM."""

    certificate: bytes
    key: bytes
    authorities: bytes

    def write(self, folder: Path) -> None:
        """Put ``cert.pem``, ``key.pem`` (0600) and ``ca.pem`` into ``folder``, as ``material.Files`` looks for them."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        give(self.authorities, folder)
        _write(folder / "key.pem", self.key, 0o600)
        _write(folder / "cert.pem", self.certificate, 0o644)


def give(authorities: bytes, folder: Path) -> None:
    """Have the service whose folder this is trust these CAs, and no others."""
    _write(folder / "ca.pem", authorities, 0o644)


class Authority:
    """A CA with its key. Make one with ``create`` or ``load``."""

    def __init__(
        self, folder: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, also: bytes
    ) -> None:
        self._folder = folder
        self.certificate = certificate
        self._key = key
        self._also = also

    @classmethod
    def create(cls, folder: Path) -> Authority:
        """Make a CA in ``folder``, or load the one that is there. Safe when several do so at once."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(folder):
            if not (folder / CERTIFICATE).exists():
                certificate, key = _new_ca()
                _write(folder / KEY, key, 0o600)
                _write(folder / CERTIFICATE, certificate, 0o644)
        return cls.load(folder)

    @classmethod
    def load(cls, folder: Path) -> Authority:
        """The CA in ``folder``. Raises ``UnreadableInput`` where there is none, or its key is another's."""
        certificate = _certificates(_read(folder / CERTIFICATE), folder / CERTIFICATE)[0]
        also = b""
        if (folder / SECONDARY).exists():
            others = _certificates(_read(folder / SECONDARY), folder / SECONDARY)
            also = b"".join(_pem(other) for other in others if other != certificate)
        for name in (KEY, SECONDARY_KEY):
            if (folder / name).exists() and (
                key := _key(folder / name)
            ).public_key() == certificate.public_key():
                return cls(folder, certificate, key, also)
        raise UnreadableInput(
            f"{folder / KEY}: is not the key of {CERTIFICATE} beside it; restore both from a backup"
        )

    @property
    def trusted(self) -> bytes:
        """The CAs to trust, in PEM: this one first."""
        return _pem(self.certificate) + self._also

    @property
    def expires(self) -> dt.datetime:
        """When the CA ends."""
        return self.certificate.not_valid_after_utc

    def issue(
        self,
        service: Service,
        identifier: str = "",
        *,
        hosts: Iterable[str] = (),
        days: float = DAYS,
        bundle_id: str = "",
        namespace: str = NAMESPACE,
        now: dt.datetime | None = None,
    ) -> Issued:
        """A certificate for ``service`` with a new key (EC P-256); see ``sign``."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.sign(
            service,
            key.public_key(),
            identifier,
            hosts=hosts,
            days=days,
            bundle_id=bundle_id,
            namespace=namespace,
            now=now,
        )
        return Issued(certificate, _key_pem(key), self.trusted)

    def sign(
        self,
        service: Service,
        key: ec.EllipticCurvePublicKey,
        identifier: str = "",
        *,
        hosts: Iterable[str] = (),
        days: float = DAYS,
        bundle_id: str = "",
        namespace: str = NAMESPACE,
        now: dt.datetime | None = None,
    ) -> bytes:
        """A certificate in PEM for ``service`` and a key of its own, valid for ``days``, never for longer than the CA.

        ``hosts`` (names and addresses) are added to the names that the service has in ``namespace``.
        """
        now = now or dt.datetime.now(dt.UTC)
        names = [
            x509.NameAttribute(NameOID.COMMON_NAME, f"{service}: {identifier or service.label}"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, service.value),
        ]
        if bundle_id:
            names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, bundle_id))
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            _builder(x509.Name(names), key, now, min(now + dt.timedelta(days=days), self.expires))
            .issuer_name(self.certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(both), critical=False)
            .add_extension(
                x509.SubjectAlternativeName(_hosts((*service.hosts(namespace), *hosts))), critical=False
            )
            .add_extension(_issuer_of(self.certificate), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return _pem(certificate)

    def issued(self, certificate: bytes) -> bool:
        """Whether this CA (not the one beside it) signed a certificate in PEM."""
        try:
            x509.load_pem_x509_certificate(certificate).verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def stage(self) -> Authority:
        """Make the CA to come, and trust it beside this one. It signs nothing yet."""
        with _alone(self._folder):
            if (self._folder / SECONDARY_KEY).exists() and (self._folder / SECONDARY).exists():
                raise UsageError("a new CA is staged already; switch to it")
            if (self._folder / SECONDARY).exists():
                raise UsageError("the CA before this one is still trusted; retire it first")
            certificate, key = _new_ca()
            _write(self._folder / SECONDARY_KEY, key, 0o600)
            _write(self._folder / SECONDARY, certificate, 0o644)
        return self.load(self._folder)

    def switch(self) -> Authority:
        """Sign with the staged CA from now on. The old one stays trusted; its key is destroyed."""
        with _alone(self._folder):
            coming = self._folder / SECONDARY_KEY
            if not coming.exists() or not (self._folder / SECONDARY).exists():
                raise UsageError(
                    "no new CA is staged; stage one first, and let every service learn to trust it"
                )
            key = _key(coming)
            known = _certificates(self.trusted, self._folder / SECONDARY)
            new = next((c for c in known if c.public_key() == key.public_key()), None)
            if new is None:
                raise UnreadableInput(
                    f"{coming}: is not the key of {SECONDARY} beside it; remove both and stage anew"
                )
            old = b"".join(_pem(c) for c in known if c != new)
            # Each state in between has both certificates, and a key that fits the one in ca.pem.
            _write(self._folder / SECONDARY, _pem(new) + old, 0o644)
            _write(self._folder / CERTIFICATE, _pem(new), 0o644)
            _write(self._folder / KEY, _key_pem(key), 0o600)
            _write(self._folder / SECONDARY, old, 0o644)
            coming.unlink()
        return self.load(self._folder)

    def retire(self) -> Authority:
        """Trust only this CA. What the one before it signed is worth nothing from now on."""
        with _alone(self._folder):
            if (self._folder / SECONDARY_KEY).exists():
                raise UsageError("the CA beside this one is the one to come; switch to it first")
            (self._folder / SECONDARY).unlink(missing_ok=True)
        return self.load(self._folder)


def _new_ca() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "Redoubt Certificate Authority"),
            # Two CAs of the same name would be confused while one takes the other's place.
            x509.NameAttribute(NameOID.SERIAL_NUMBER, f"{serial:x}"),
        ]
    )
    now = dt.datetime.now(dt.UTC)
    certificate = (
        _builder(name, key.public_key(), now, now + dt.timedelta(days=CA_DAYS), serial)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _pem(certificate), _key_pem(key)


def _builder(
    name: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: dt.datetime,
    end: dt.datetime,
    serial: int | None = None,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key)
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(min(now, end) - _GRACE)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign,
        key_cert_sign=sign,
        crl_sign=sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _issuer_of(ca: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier.value)


def _hosts(names: Iterable[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in dict.fromkeys(names):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            try:
                found.append(x509.DNSName(name))
            except ValueError:
                raise UsageError(f"{name!r} is no host name that a certificate can bear") from None
    return found


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificates(pem: bytes, path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise UnreadableInput(f"{path}: holds no certificate in PEM form") from None


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError):
        raise UnreadableInput(f"{path}: holds no private key in PEM form") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise UnreadableInput(f"{path}: is no elliptic-curve key")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UnreadableInput(f"{path}: there is no such file") from None
    except PermissionError:
        raise AccessDenied(f"{path}: may not be read") from None


def _write(path: Path, data: bytes, mode: int) -> None:
    """All of it or nothing, and no moment in which a key is readable by others."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:  # noqa: PTH123 (a descriptor)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else changes the CA meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
