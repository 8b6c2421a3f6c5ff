"""How many agents the reference server holds: known, so that a search for it can be checked.

Of n requests in service, chunks come every ``gap(n) = (itl + itl_per_stream * n) * max(1, n /
capacity)`` seconds, with ``tokens_per_chunk`` tokens each, so that each reply runs at
``tokens_per_chunk / gap(n)`` tok/s (if its tokens after the first fill whole chunks). The first
token comes ``wait = ttft + uncached / prefill_rate`` after admission, and a request is in service
for ``S(n) = wait + chunks * gap(n)``.

* Agents that never pause are all in service all the time: N agents meet a limit of the speed
  exactly if N is at most the largest n with ``tokens_per_chunk / gap(n) >= limit``. Choose limits
  that lie between the speeds of two n: noise decides where they are equal.
* Agents that pause are in service for a share ``S / (S + pause)`` of the time. As many as that n
  surely meet the limit; ``n * (S(n) + pause) / S(n)`` do if they are evenly out of step.
* With slots, the others queue in the order of their arrival. A slot serves one after the other, so
  that N agents without pauses wait ``S * (N / slots - 1)`` if they are evenly out of step, and the
  same with ``N / slots`` rounded up if they are in step.

Agents that begin together, whose replies and pauses are all alike, stay in step for ever: spread
their beginnings, or let lengths differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_a2perf.domains.serving.server.options import ServerOptions

__all__ = ["Expected", "expected_capacity", "gap_at"]


@dataclass(frozen=True, slots=True)
class Expected:
    """How many agents meet a tier.

    Attributes:
        surely: so many do, even in step; may be infinite.
        about: so many do if they are evenly out of step; the same where steps make no difference.
    """

    surely: float
    about: float


def gap_at(options: ServerOptions, running: int) -> float:
    """Return the seconds between chunks with so many requests in service."""
    gap = options.itl + options.itl_per_stream * running
    return gap * max(1.0, running / options.capacity) if options.capacity else gap


def expected_capacity(
    options: ServerOptions,
    *,
    speed: float = 0.0,
    ttft: float = math.inf,
    tokens: int | None = None,
    uncached: int = 0,
    pause: float = 0.0,
) -> Expected:
    """Return how many agents meet limits, when all their requests are alike.

    Args:
        options: of the server, without jitter.
        speed: limit of the output speed, tok/s.
        ttft: limit of the time to the first token, seconds.
        tokens: length of replies; None: the server's.
        uncached: tokens of each prompt that are not in the prefix cache.
        pause: seconds between a reply and the agent's next request.
    """
    wait = options.ttft + (uncached / options.prefill_rate if options.prefill_rate else 0.0)
    if wait > ttft:
        return Expected(0, 0)
    chunks = math.ceil(((tokens or options.tokens) - 1) / options.tokens_per_chunk)
    running = _most_running(options, speed)
    if options.slots and options.slots <= running:
        service = wait + chunks * gap_at(options, options.slots)
        rounds = 1 + (ttft - wait) / service if service else math.inf
        if math.isinf(rounds):
            return Expected(math.inf, math.inf)
        about = options.slots * (rounds + pause / service)
        return Expected(options.slots * math.floor(rounds), math.floor(about))
    if math.isinf(running):
        return Expected(math.inf, math.inf)
    service = wait + chunks * gap_at(options, int(running))
    if not service:
        return Expected(running, math.inf if pause else running)
    return Expected(running, math.floor(running * (service + pause) / service))


def _most_running(options: ServerOptions, speed: float) -> float:
    """Return the largest number in service at which replies are fast enough."""
    longest = options.tokens_per_chunk / speed if speed else math.inf
    if not options.itl_per_stream and not (options.capacity and options.itl):
        return math.inf if options.itl <= longest else 0
    if math.isinf(longest):
        return math.inf
    low, high = 0, 1
    while gap_at(options, high) <= longest:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if gap_at(options, middle) <= longest else (low, middle)
    return low
