"""Waking those who wait for news of a job, within one event loop."""

from __future__ import annotations

import asyncio


class Signals:
    """Wakes everybody who waits for a key."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}

    def notify(self, key: str) -> None:
        """There is news."""
        if (event := self._events.pop(key, None)) is not None:
            event.set()

    def notify_all(self) -> None:
        """There is news for everybody, such as the end."""
        for key in list(self._events):
            self.notify(key)

    def news(self, key: str) -> asyncio.Event:
        """Is set by the next news. Take it before looking at what there is: nothing is missed then."""
        return self._events.setdefault(key, asyncio.Event())


async def happens(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event; False when it does not happen in time."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except asyncio.TimeoutError:
        return False
    return True
