"""Requests for certificates (PKCS #10, DER): made by who has the key, read by who signs. Of one the key counts, and nothing else."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.wire.identity import Service

Key = ec.EllipticCurvePrivateKey
#: Bytes of a request: ours have 150.
LARGEST = 8192


def new_key() -> Key:
    """A key of the kind that our certificates have."""
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: Key) -> bytes:
    """A private key as files and Secrets hold it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def made(key: Key) -> bytes:
    """A request that says nothing but that its maker has the key."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


def key_of(request: bytes, service: Service, identifier: str) -> ec.EllipticCurvePublicKey:
    """The key of a request for ``service`` of the cluster ``identifier``; one that names itself otherwise is refused.

    Raises ``LimitExceeded``, and ``UnreadableInput`` also for a key that is not on P-256 or P-384, or that its maker does not have.
    """
    if len(request) > LARGEST:
        raise LimitExceeded(f"a request for a certificate of {len(request)} bytes; the limit is {LARGEST}")
    try:
        found = x509.load_der_x509_csr(request)
        key = found.public_key()
        units, names = (
            [str(each.value) for each in found.subject.get_attributes_for_oid(kind)]
            for kind in (NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.COMMON_NAME)
        )
        said = len(list(found.subject))
        valid = found.is_signature_valid
    except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm, InvalidSignature):
        raise UnreadableInput("a request for a certificate that cannot be read") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in ("secp256r1", "secp384r1"):
        raise UnreadableInput("a request for a certificate needs a key on P-256 or P-384")
    if not valid:
        raise UnreadableInput("a request for a certificate that was not signed with its own key")
    if said and (said != 2 or units != [service.value] or names != [f"{service}: {identifier}"]):
        raise UnreadableInput(
            f"a request for a certificate that names somebody else than {service} of this cluster"
        )
    return key
