"""A Collector that is told to stop by a signal ends, whatever it was doing when the signal came."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from redoubt.collector import sources
from redoubt.collector.collector import Collector
from redoubt.model.noderecords import CollectorHealth, Event

#: Lines of Python that run from the start to a second nap.
MOMENTS = 120


class Nothing(sources.ByProbe):
    """A probe whose ring stays empty."""

    def __init__(self) -> None:
        """Without a kernel."""

    def read(self) -> Iterator[Event]:
        return iter(())

    def count(self, health: CollectorHealth) -> list[dict[str, int]]:
        return []

    def close(self) -> None:
        pass


def test_a_signal_at_any_moment_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "choose", lambda *_: Nothing())
    monkeypatch.setattr(sources, "NAP", 0.001)
    seen: set[str] = set()
    for moment in range(MOMENTS):
        running = Collector(lambda _: None, scrape=False)
        left = moment

        # What a signal handler does: between two lines of the thread that it interrupts.
        def interrupt(frame: FrameType, _what: str, _value: Any) -> Any:
            nonlocal left
            if left == 0:
                seen.add(frame.f_code.co_name)
                running.stop()  # noqa: B023 (it is called in this round only)
            left -= 1
            return interrupt

        def work() -> None:
            sys.settrace(interrupt)
            running.run()  # noqa: B023

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(30)
        assert not thread.is_alive(), f"told to stop at moment {moment}, and never ended"
    assert {"run", "wait", "_count"} <= seen
