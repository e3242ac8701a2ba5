"""What handlers are given: ``services: Given``, ``request: Call``; bodies are ``JSONBody[Struct]``, parameters
``FromPath[str]`` and ``FromQuery[…]`` of ``litestar.params``.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from litestar import Request
from litestar.di import NamedDependency

from redoubt.central.auth.caller import Caller
from redoubt.central.services import Services

Given: TypeAlias = NamedDependency[Services]

#: ``call.user`` is the caller; ``call.scope["state"]["source"]`` the address that it calls from.
Call: TypeAlias = Request[Caller, Any, Any]


class Empty(msgspec.Struct, frozen=True):
    """``{}``: an answer that says nothing but that it was done."""
