"""How long to wait before trying again what failed: doubling, with jitter, so that many workers do not come back in step."""

from __future__ import annotations

import random


class Pause:
    def __init__(self, least: float = 0.05, most: float = 5.0) -> None:
        self._least = least
        self._most = most
        self._next = least

    def longer(self) -> float:
        """The seconds to wait now; the next wait is up to twice as long."""
        bound, self._next = self._next, min(self._next * 2, self._most)
        return bound * (0.5 + random.random() / 2)

    def over(self) -> None:
        self._next = self._least
