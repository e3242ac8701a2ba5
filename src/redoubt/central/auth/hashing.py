"""Passwords as they are stored: scrypt (RFC 7914), 32 MB and about a tenth of a second each."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets

#: 2 to the power of which the cost is, block size, parallelism.
COST, BLOCK, PARALLEL = 15, 8, 1

LONGEST = 1024

_FORM = re.compile(
    r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{16,64})\$([A-Za-z0-9+/]{32,88})"
)


def hashed(password: str, cost: int = COST) -> str:
    """``$scrypt$ln=15,r=8,p=1$<salt>$<hash>``, base64 without its padding."""
    salt = secrets.token_bytes(16)
    return (
        f"$scrypt$ln={cost},r={BLOCK},p={PARALLEL}${_encode(salt)}${_encode(_derive(password, salt, cost))}"
    )


def fits(password: str, stored: str) -> bool:
    """Whether it is the password. Takes as long for a wrong one."""
    match = _FORM.fullmatch(stored)
    # HMAC fills keys up with NULs, so one at the end would make no difference.
    if match is None or len(password) > LONGEST or "\0" in password:
        return False
    cost, block, parallel = (int(match[number]) for number in (1, 2, 3))
    if not (10 <= cost <= 18 and 1 <= block <= 16 and 1 <= parallel <= 4):
        return False
    expected = _decode(match[5])
    found = _derive(password, _decode(match[4]), cost, block, parallel, len(expected))
    return hmac.compare_digest(found, expected)


def _derive(
    password: str, salt: bytes, cost: int, block: int = BLOCK, parallel: int = PARALLEL, length: int = 32
) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=1 << cost,
        r=block,
        p=parallel,
        maxmem=256 * block * (1 << cost),
        dklen=length,
    )


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
