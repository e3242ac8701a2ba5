"""The Sensor's own certificate on disk: the one that it was installed with, or one that was made since. Whole at every moment.

``current`` is a link to a folder with ``cert.pem``, ``key.pem`` and ``ca.pem``: where it was installed, or a numbered one here. What is
made anew is put beside what there is, and then the link is exchanged: killed between any two steps, what the link leads to fits
together. It must not know who makes certificates.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from redoubt.definitions import durable
from redoubt.errors import AccessDenied, UnreadableInput
from redoubt.wire.authority import Issued
from redoubt.wire.identity import Service
from redoubt.wire.material import Files

#: Numbered folders that are kept: the one in use, and the one before, which may just be read.
_KEPT = 2


class Leaf(msgspec.Struct, frozen=True):
    """A service's certificate as far as it matters when it is made anew."""

    certificate: x509.Certificate
    authorities: bytes

    @property
    def identifier(self) -> str:
        """The cluster that it names."""
        names = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(names[0].value).partition(": ")[2] if len(names) == 1 else ""

    @property
    def begins(self) -> datetime:
        """Since when it counts."""
        return self.certificate.not_valid_before_utc

    @property
    def ends(self) -> datetime:
        """When it counts no more."""
        return self.certificate.not_valid_after_utc

    @property
    def renewed(self) -> datetime:
        """When it is to be made anew: when half of its life has passed, up to a tenth of it earlier, by its number."""
        early = self.certificate.serial_number % 1000 / 10_000
        return self.begins + (self.ends - self.begins) * (0.5 - early)

    def counts(self, now: datetime) -> bool:
        """Whether it is good now."""
        return self.begins <= now < self.ends


def leaf(certificate: bytes, key: bytes, authorities: bytes) -> Leaf:
    """Of PEM. Raises ``UnreadableInput`` where it cannot be read, the key is another's, or no CA among these signed it."""
    try:
        found = x509.load_pem_x509_certificate(certificate)
        fits = serialization.load_pem_private_key(key, None).public_key() == found.public_key()
        known = x509.load_pem_x509_certificates(authorities)
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        raise UnreadableInput(
            f"a certificate, key or CA that cannot be read ({type(error).__name__})"
        ) from None
    if not fits:
        raise UnreadableInput("a certificate whose key is another's")
    if not any(_signed(found, each) for each in known):
        raise UnreadableInput("a certificate that none of the CAs beside it signed")
    return Leaf(found, authorities)


def belongs(found: Leaf, service: Service, cluster: str) -> bool:
    """Whether it names this service of this cluster."""
    units = found.certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return [each.value for each in units] == [service.value] and found.identifier == cluster


def _signed(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


class Own:
    """``place`` is this Sensor's, ``installed`` whoever's installed it. Methods are blocking, and raise ``AccessDenied``."""

    def __init__(self, place: Path, installed: Path) -> None:
        self._place = place
        self._installed = installed
        #: Where the certificate in use is, whichever that is.
        self.files = Files.within(place / "current")

    def settle(self, now: datetime | None = None) -> Leaf | None:
        """Have ``files`` lead to the certificate to use; None where none is good now: then to the one that was installed.

        Of those that are good the one counts that was issued last: so an administrator who installs anew is heard, and what was made
        since an init bundle was installed counts before it.
        """
        now = now or datetime.now(UTC)
        with durable.writing(self._place):
            self._place.mkdir(parents=True, exist_ok=True, mode=0o700)
            folders = [*self._numbered(), self._installed]
        found = [(folder, each) for folder in folders if (each := _read(folder)) is not None]
        good = [(folder, each) for folder, each in found if each.counts(now)]
        if not good:
            self._lead(self._installed)
            return None
        folder, chosen = max(good, key=lambda pair: pair[1].begins)
        self._lead(folder)
        return chosen

    def adopt(self, issued: Issued) -> None:
        """Use these from now on. They are on the disk before anything leads to them."""
        with durable.writing(self._place):
            self._place.mkdir(parents=True, exist_ok=True, mode=0o700)
            before = self._numbered()
            number = int(before[0].name) + 1 if before else 1
            draft = self._place / f".{number}.{os.urandom(4).hex()}"
            try:
                issued.write(draft)
                draft.rename(self._place / str(number))
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)
                raise
            durable.sync_directory(self._place)
        self._lead(self._place / str(number))
        self._tidy()

    def made(self) -> Issued | None:
        """The certificate in use with its key, where it was made since this Sensor was installed."""
        with suppress(OSError):
            folder = (self._place / "current").resolve(strict=True)
            if folder.parent == self._place.resolve():
                return Issued(*(_content(folder, name) for name in ("cert.pem", "key.pem", "ca.pem")))
        return None

    def _numbered(self) -> list[Path]:
        """The latest first."""
        found = [each for each in self._place.iterdir() if each.name.isascii() and each.name.isdigit()]
        return sorted(found, key=lambda each: int(each.name), reverse=True)

    def _lead(self, folder: Path) -> None:
        link, wanted = self._place / "current", str(folder.absolute())
        with durable.writing(self._place):
            if link.is_symlink() and str(link.readlink()) == wanted:
                return
            draft = self._place / f".current.{os.urandom(4).hex()}"
            draft.symlink_to(wanted, target_is_directory=True)
            draft.replace(link)
            durable.sync_directory(self._place)

    def _tidy(self) -> None:
        for old in self._numbered()[_KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
        for draft in self._place.glob(".*"):
            if draft.is_symlink():
                draft.unlink(missing_ok=True)
            else:
                shutil.rmtree(draft, ignore_errors=True)


def _read(folder: Path) -> Leaf | None:
    """None for what is not there, does not fit together or cannot be read."""
    try:
        certificate, key = (_content(folder, name) for name in ("cert.pem", "key.pem"))
        return leaf(certificate, key, _authorities(folder))
    except (OSError, UnreadableInput, AccessDenied):
        return None


def _authorities(folder: Path) -> bytes:
    names: Iterable[str] = ("ca.pem", "ca-secondary.pem")
    return b"\n".join(_content(folder, name) for name in names if (folder / name).exists())


def _content(folder: Path, name: str) -> bytes:
    return (folder / name).read_bytes()
