"""Children that end when their parent does, however that one ends (Linux: PR_SET_PDEATHSIG, prctl(2))."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def bound(sent: signal.Signals) -> Callable[[], None]:
    """A ``preexec_fn`` for ``subprocess``: the child is sent ``sent`` when the *thread* that started it ends.

    It runs after the change of user, which would undo it.
    """
    parent = os.getpid()
    number = int(sent)

    def bind() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return bind
