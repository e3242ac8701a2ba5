"""Credentials as strangers send them."""

from __future__ import annotations

import asyncio
import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.central.auth.authenticate import Authenticator, basic
from redoubt.central.auth.caller import Kind
from redoubt.central.refusals import Unauthenticated
from redoubt.wire.identity import Identity, Service
from support.centrals import NamedRoles


@given(st.text().filter(lambda user: ":" not in user), st.text())
def test_a_name_and_a_password_come_back(user: str, password: str) -> None:
    value = base64.b64encode(f"{user}:{password}".encode()).decode()
    assert basic(value) == (user, password)


@given(st.one_of(st.text(), st.binary().map(lambda data: base64.b64encode(data).decode())))
def test_anything_else_is_refused_and_nothing_breaks(value: str) -> None:
    try:
        user, _ = basic(value)
    except Unauthenticated:
        return
    assert ":" not in user


@given(st.text())
def test_any_header_makes_a_caller_or_is_refused(header: str) -> None:
    auth = Authenticator(tokens=NamedRoles())
    try:
        caller = asyncio.run(auth.caller(header, None, ""))
    except Unauthenticated:
        return
    assert caller.authenticated or not header


def test_a_token_with_a_certificate_is_the_token_s_and_keeps_the_certificate_in_sight() -> None:
    peer = Identity(Service.SENSOR, "one")
    caller = asyncio.run(Authenticator(tokens=NamedRoles()).caller("Bearer None", peer, "192.0.2.1"))
    assert (caller.kind, caller.service, caller.source) == (Kind.TOKEN, Service.SENSOR, "192.0.2.1")
    with pytest.raises(Unauthenticated):
        asyncio.run(Authenticator(tokens=NamedRoles()).caller("Bearer Nobody", peer, ""))
