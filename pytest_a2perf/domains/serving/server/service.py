"""When requests are admitted and when their tokens come: queue, cache, prefill and capacity."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable

from pytest_a2perf.domains.serving.server.cache import PrefixCache
from pytest_a2perf.domains.serving.server.generation import Generation
from pytest_a2perf.domains.serving.server.loop import Loop
from pytest_a2perf.domains.serving.server.metrics import Metrics
from pytest_a2perf.domains.serving.server.options import ServerOptions
from pytest_a2perf.domains.serving.server.truth import gap_at

__all__ = ["Service"]


class Service:
    """The engine, without a model.

    Args:
        options: see `ServerOptions`.
        loop: that fires the chunks.
        log: called with each reply that has ended.

    Attributes:
        gap: seconds between chunks at this moment, jitter aside.
    """

    def __init__(
        self, options: ServerOptions, loop: Loop, log: Callable[[Generation], None]
    ) -> None:
        self.options = options
        self._cache = PrefixCache(options.cache, options.cache_block)
        self._metrics = Metrics()
        self._loop = loop
        self._log = log
        self._random = random.Random(options.seed)
        self._running: set[Generation] = set()
        self._waiting: deque[Generation] = deque()
        self._count()

    def submit(self, generation: Generation) -> None:
        """Admit a request if there is room, or queue it."""
        generation.begin(self)
        if self._has_room():
            # Its wait is from the receipt: reading and counting the prompt are part of it.
            self._admit(generation, generation.received)
        else:
            self._waiting.append(generation)

    def next_chunk(self, due: float) -> float:
        """Return when the chunk comes after one that was due at that time."""
        return due + (self._varied(self.gap) if self.options.jitter else self.gap)

    def ended(self, generation: Generation) -> None:
        """Take a request out of service, or out of the queue."""
        if generation in self._running:
            self._running.remove(generation)
            self._metrics.ended(generation)
            self._count()
        else:
            self._waiting.remove(generation)
        self._log(generation)
        while self._waiting and self._has_room():
            self._admit(self._waiting.popleft(), time.monotonic())

    def metrics(self) -> str:
        """Return the counters in Prometheus' text form."""
        return self._metrics.text(
            self.options.model, self._running, len(self._waiting), self._cache
        )

    def _has_room(self) -> bool:
        return not 0 < self.options.slots <= len(self._running)

    def _admit(self, one: Generation, now: float) -> None:
        options = self.options
        self._running.add(one)
        self._count()
        one.admitted = now
        one.in_service = len(self._running)
        if options.cache:
            one.cached = self._cache.take(one.ask.prompt)
        self._metrics.admitted(one)
        wait = options.ttft
        if options.prefill_rate:
            wait += (one.ask.prompt_tokens - one.cached) / options.prefill_rate
        self._loop.at(now + self._varied(wait), one)

    def _count(self) -> None:
        """Work out the time between chunks anew: the number in service has changed."""
        self.gap = gap_at(self.options, len(self._running))

    def _varied(self, wait: float) -> float:
        jitter = self.options.jitter
        return wait * (1 + jitter * (2 * self._random.random() - 1)) if jitter else wait
