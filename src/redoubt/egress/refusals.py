"""Who wanted to contact whom and was refused: told to whoever keeps count of it. Keeps nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

#: Told of each refusal: the host, and who asked. From any thread; must not wait and not raise.
Listener = Callable[[str, str], None]

_who: ContextVar[str] = ContextVar("asking", default="")
_listeners: list[Listener] = []


@contextmanager
def asking(who: str) -> Iterator[None]:
    """While the body runs, in this task or thread, ``who`` is the one who asks."""
    token = _who.set(who)
    try:
        yield
    finally:
        _who.reset(token)


def listen(listener: Listener) -> Callable[[], None]:
    """Have ``listener`` told from now on; what is given ends that."""
    _listeners.append(listener)

    def end() -> None:
        with suppress(ValueError):
            _listeners.remove(listener)

    return end


def tell(host: str, who: str = "") -> None:
    """A host was not contacted."""
    for listener in tuple(_listeners):
        listener(host, who or _who.get())
