"""Where a token may be sent."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from redoubt.central.auth import callback
from redoubt.central.refusals import InvalidArgument

ENDS = datetime(2099, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:1/callback",
        "http://localhost:65535/callback",
        "http://127.0.0.1:40123/callback/dGhlIHNlY3JldCBvZiBhIHJveGN0bA",
    ],
)
def test_a_roxctl_on_this_machine_gets_the_token(address: str) -> None:
    assert callback.answered(address, "a.b-_.c", ENDS) == (
        f"{address}?token=a.b-_.c&expiresAt=2099-01-01T12%3A00%3A00%2B00%3A00"
    )


@pytest.mark.parametrize(
    "address",
    [
        "",
        "http://evil.example:80/callback",
        "https://127.0.0.1:4000/callback",
        "http://127.0.0.1/callback",
        "http://127.0.0.1:0/callback",
        "http://127.0.0.1:65536/callback",
        "http://127.0.0.1:4000",
        "http://127.0.0.1:4000/other",
        "http://127.0.0.1:4000/callback/../open?to=https://evil.example",
        "http://127.0.0.1:4000/callback?next=https://evil.example",
        "http://127.0.0.1:4000/callback#x",
        "http://127.0.0.1:4000/callback/a/b",
        "http://127.0.0.1:4000/callback\n",
        "http://127.0.0.1.evil.example:4000/callback",
        "http://127.0.0.1:4000@evil.example:4000/callback",
        "http://user@127.0.0.1:4000/callback",
        "http://127.0.0.2:4000/callback",
        "http://[::1]:4000/callback",
        "http://LOCALHOST:4000/callback",
        "http://localhost.:4000/callback",
        "http://127.0.0.1:\u0664000/callback",
        "javascript:alert(1)//127.0.0.1:4000/callback",
    ],
)
def test_nothing_else_does(address: str) -> None:
    with pytest.raises(InvalidArgument, match="Start `roxctl central login` again"):
        callback.answered(address, "t", ENDS)
