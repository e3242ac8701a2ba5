"""Work done in a child process: it keeps its memory to itself, blocks no event loop, and dies with its parent.

A service calls ``await run("redoubt.room.module:function", argument, Result)``. The function takes the
argument and gives the result as structs; they cross the gap as JSON. What it raises of ours is raised here
again. Knows nothing of what the work is.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from redoubt import errors
from redoubt.errors import RedoubtError

Result = TypeVar("Result")

#: prctl(2): the signal that this process gets when its parent dies.
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
#: What a child may answer, in bytes.
_ANSWER = 64 << 20


class _Failed(msgspec.Struct, tag="failed"):
    kind: str
    message: str


class _Done(msgspec.Struct, tag="done"):
    result: msgspec.Raw


def die_with_parent(sign: int = signal.SIGKILL) -> None:
    """Have the kernel send ``sign`` to this process when the thread that started it ends (prctl(2)).

    To be called in the child, after it changed its user: that clears the wish.
    """
    with suppress(OSError, AttributeError):
        _libc.prctl(_PR_SET_PDEATHSIG, int(sign), 0, 0, 0)


def bound(sign: int) -> Callable[[], None]:
    """A ``preexec_fn`` for ``subprocess``: ``die_with_parent``, also where the parent died before it could be said.

    It runs after the change of user. What it needs was loaded before: a fork of a process with threads must not.
    """
    parent = os.getpid()

    def bind() -> None:
        die_with_parent(sign)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return bind


async def run(
    function: str, argument: msgspec.Struct | None, result: type[Result], *, nice: int = 0
) -> Result:
    """What ``function`` (``module:name``, of ours) gives for ``argument``, computed in a process of its own.

    Being cancelled kills the child. Raises the ``RedoubtError`` that the function raised, and
    ``RedoubtError`` where the child ended without an answer.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "redoubt.children",
        function,
        str(os.getpid()),
        str(nice),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_ANSWER,
    )
    try:
        answer, _ = await process.communicate(msgspec.json.encode(argument))
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    try:
        told = msgspec.json.decode(answer, type=_Done | _Failed)
    except msgspec.MsgspecError:
        code = process.returncode or 0
        how = f"signal {-code}" if code < 0 else f"code {code}"
        raise RedoubtError(
            f"the work of {function.rpartition(':')[2]} ended early ({how}); is there enough memory?"
        ) from None
    if isinstance(told, _Failed):
        kind = getattr(errors, told.kind, RedoubtError)
        raise kind(told.message)
    return msgspec.json.decode(told.result, type=result)


def _main(function: str, parent: str, nice: str) -> None:
    """The child: read the argument, call the function, tell what became of it."""
    die_with_parent()
    if os.getppid() != int(parent):  # it died before we could ask
        os._exit(1)
    if int(nice):
        os.nice(int(nice))
    # The answer has standard output for itself, whatever the work prints.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    module, _, name = function.partition(":")
    call: Callable[..., object] = getattr(importlib.import_module(module), name)
    argument = sys.stdin.buffer.read()
    try:
        hints = next(iter(_hints(call).values()), None)
        given = msgspec.json.decode(argument, type=hints) if hints else None
        told: _Done | _Failed = _Done(msgspec.Raw(msgspec.json.encode(call(given) if hints else call())))
    except RedoubtError as error:
        told = _Failed(type(error).__name__, str(error))
    except MemoryError:
        told = _Failed("RedoubtError", "out of memory; give this process more")
    with out:
        out.write(msgspec.json.encode(told))


def _hints(call: Callable[..., object]) -> dict[str, Any]:
    import typing

    hints = typing.get_type_hints(call)
    hints.pop("return", None)
    return hints


if __name__ == "__main__":
    _main(*sys.argv[1:])
