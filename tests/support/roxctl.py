"""A roxctl that talks to a stand-in for Central (``support.standin``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from redoubt.cli.roxctl import roxctl
from support.inprocess import Outcome, invoke
from support.standin import TOKEN, StandIn

Run = Callable[..., Outcome]


def runner(central: StandIn) -> Run:
    """Runs roxctl with this Central's address, CA and a token that counts; variables may say otherwise."""
    given = {
        "ROX_ENDPOINT": central.endpoint,
        "ROX_CA_CERT_FILE": str(central.authority.file),
        "ROX_API_TOKEN": TOKEN,
        "ROX_CLIENT_MAX_RETRIES": "0",
    }

    def run(*words: str | Path, code: int = 0, stdin: str = "", **variables: str) -> Outcome:
        return invoke(roxctl, *words, code=code, environment=given | variables, stdin=stdin)

    return run
