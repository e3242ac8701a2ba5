"""Certificates, keys and CAs in files, as the TLS contexts of both ends; read again when the files change.

Kubernetes exchanges the files of a mounted secret, and ``redoubt up`` writes new ones: what was read first is used until
all of what is new can be used. It must not know what travels over the connections.

TLS 1.3 sessions are not resumed: a resumed one would bring an identity along that nobody verified again.
"""

from __future__ import annotations

import hashlib
import logging
import ssl
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import msgspec

from redoubt.errors import AccessDenied, RedoubtError, UnreadableInput
from redoubt.wire.failures import distrust
from redoubt.wire.identity import NAMESPACE

log = logging.getLogger(__name__)
#: Seconds between two words about the same reason; reasons that are told.
_SILENCE, _REASONS = 60.0, 100


class Files(msgspec.Struct, frozen=True):
    """A service's certificate and key, and the CAs that say who its peers are.

    ``front`` is another certificate and key for those who call by a name that is not the service's own: people and
    their browsers, who trust a CA of their company.
    """

    certificate: Path
    key: Path
    authorities: tuple[Path, ...]
    front: tuple[Path, Path] | None = None

    @classmethod
    def within(cls, folder: Path, front: tuple[Path, Path] | None = None) -> Files:
        """``cert.pem``, ``key.pem``, ``ca.pem`` and, where it is, ``ca-secondary.pem``, as secrets are mounted."""
        return cls(
            folder / "cert.pem", folder / "key.pem", (folder / "ca.pem", folder / "ca-secondary.pem"), front
        )

    @property
    def trusted(self) -> list[Path]:
        """The CAs' files that are there."""
        return [path for path in self.authorities if path.exists()]

    def contents(self) -> dict[Path, bytes]:
        """What all files hold. Only CAs after the first may be missing."""
        wanted = [self.certificate, self.key, self.authorities[0], *(self.front or ())]
        found = {path: _read(path) for path in wanted}
        return found | {path: _read(path) for path in self.authorities[1:] if path.exists()}


class _Handshake(ssl.SSLObject):
    """Says why a caller's certificate is refused: the caller only sees that we hang up."""

    _told: ClassVar[dict[str, float]] = {}

    def do_handshake(self) -> None:
        """See ``ssl``."""
        try:
            super().do_handshake()
        except ssl.SSLCertVerificationError as error:
            reason, now = str(error.verify_message), time.monotonic()
            # Strangers may come with certificates as often as they like.
            if now - self._told.get(reason, -_SILENCE) >= _SILENCE and len(self._told) < _REASONS:
                self._told[reason] = now
                log.warning("a caller's certificate is refused: %s", distrust(error))
            raise


class Material:
    """TLS contexts made of ``files``. Raises ``UnreadableInput`` or ``AccessDenied`` when they cannot be used."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._alpn: list[str] = []
        self._failure = ""
        self._lock = threading.Lock()
        self._load(files.contents())

    def refresh(self) -> None:
        """Read the files again; may be called from any thread. Whatever cannot be used is logged once."""
        with self._lock:
            try:
                contents = self._files.contents()
                if contents == self._contents:
                    return
                self._load(contents)
            except RedoubtError as error:
                if str(error) != self._failure:
                    log.warning("new certificates cannot be used yet; the ones before stay: %s", error)
                self._failure = str(error)
            else:
                log.info("certificates were read again")

    @property
    def trusted(self) -> bytes:
        """The CAs that are trusted now, in PEM."""
        return self._trusted

    @property
    def fingerprint(self) -> str:
        """What is in use now, as a SHA-256 of all of it."""
        parts = (hashlib.sha256(content).digest() for content in self._contents.values())
        return hashlib.sha256(b"".join(parts)).hexdigest()

    def trusts(self, certificate: bytes) -> bool:
        """Whether a certificate, in DER, that was verified once is of a CA that is trusted now. One that cannot be read is."""
        from cryptography import x509
        from cryptography.exceptions import InvalidSignature

        try:
            shown = x509.load_der_x509_certificate(certificate)
            authorities = x509.load_pem_x509_certificates(self._trusted)
        except ValueError:
            return True
        for authority in authorities:
            try:
                shown.verify_directly_issued_by(authority)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return True
        return False

    def server(self, *alpn: str) -> ssl.SSLContext:
        """A listener's context, which asks for a client's certificate but lets those come who have none.

        It always serves what was read last: the certificate is chosen anew in each handshake.
        """
        with self._lock:
            self._alpn = list(alpn)
            self._load(self._files.contents())
            outer = self._server_context(self._files.certificate, self._files.key, self._trusted)

        def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
            own = self._front is None or (name or "").lower() in self._names
            connection.context = self._own if own or self._front is None else self._front

        outer.sni_callback = choose
        outer.sslobject_class = _Handshake
        return outer

    def client(self) -> ssl.SSLContext:
        """A caller's context for one connection. Who the server is must be asked of its certificate: names are not
        compared, for services are reached by addresses too, and only our CA is trusted."""
        return self._client

    def _load(self, contents: dict[Path, bytes]) -> None:
        files = self._files
        trusted = b"".join(contents.get(path, b"") + b"\n" for path in files.authorities)
        own = self._server_context(files.certificate, files.key, trusted)
        front = self._server_context(*files.front, trusted) if files.front else None
        client = _context(ssl.PROTOCOL_TLS_CLIENT, files.certificate, files.key, trusted)
        client.check_hostname = False
        client.minimum_version = ssl.TLSVersion.TLSv1_3
        client.set_alpn_protocols(["h2"])
        names = _names(contents[files.certificate], files.certificate)
        validity = _validity(contents[files.certificate], files.certificate)
        if files.contents() != contents:
            raise UnreadableInput(f"{files.certificate}: is being exchanged")
        self._own, self._front, self._client, self._names = own, front, client, names
        self._contents, self._trusted, self._failure = contents, trusted, ""
        #: When our certificate begins and ends, in UTC.
        self.validity = validity

    def _server_context(self, certificate: Path, key: Path, trusted: bytes) -> ssl.SSLContext:
        context = _context(ssl.PROTOCOL_TLS_SERVER, certificate, key, trusted)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
        context.num_tickets = 0
        if self._alpn:
            context.set_alpn_protocols(self._alpn)
        return context


def _context(kind: int, certificate: Path, key: Path, trusted: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(kind)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise UnreadableInput(
            f"{certificate}: is no certificate for the key in {key} ({_why(error)})"
        ) from None
    except PermissionError:
        raise AccessDenied(f"{key}: may not be read") from None
    except OSError:
        raise UnreadableInput(f"{certificate}: there is no such file, or no {key}") from None
    try:
        context.load_verify_locations(cadata=trusted.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise UnreadableInput(
            f"{certificate.with_name('ca.pem')}: holds no CA certificate in PEM form"
        ) from None
    return context


def _why(error: Exception) -> str:
    return str(getattr(error, "reason", "") or "not in PEM form").lower().replace("_", " ")


def namespace(files: Files) -> str:
    """The namespace that the certificate is for, by its names ``<service>.<namespace>.svc``. Raises as ``Material``."""
    names = (name.split(".") for name in sorted(_names(_read(files.certificate), files.certificate)))
    return next((parts[1] for parts in names if len(parts) == 3 and parts[2] == "svc"), NAMESPACE)


def _validity(pem: bytes, path: Path) -> tuple[datetime, datetime]:
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(pem)
        return found.not_valid_before_utc, found.not_valid_after_utc
    except ValueError:
        raise UnreadableInput(f"{path}: holds no certificate in PEM form") from None


def _names(pem: bytes, path: Path) -> frozenset[str]:
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return frozenset()
    except ValueError:
        raise UnreadableInput(f"{path}: holds no certificate in PEM form") from None
    return frozenset(name.lower() for name in found.value.get_values_for_type(x509.DNSName))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UnreadableInput(f"{path}: there is no such file") from None
    except OSError:
        raise AccessDenied(f"{path}: may not be read") from None
