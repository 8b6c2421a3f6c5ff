"""One simulated agent: the turns of a session, in order, each when it is due.

A turn is due when the pause after the reply before it is over; that the client got round to it
later does not move it, so that what the client is late by is part of what is measured. Replies
are thrown away: the next turn sends what was recorded. After a failed turn the agent waits for a
while and goes on with the next one, whose input does not depend on the reply.

This is called back from sockets and timers, and no coroutine, because a coroutine would wake only
after everything else that arrived in the same round of the event loop.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_a2perf.domains.serving.client.body import BodyMaker, Script
from pytest_a2perf.domains.serving.client.exchange import Client, Exchange
from pytest_a2perf.domains.serving.replay.chance import nonce_of
from pytest_a2perf.domains.serving.replay.plan import Plan
from pytest_a2perf.domains.serving.trajectories.models import Turn

if TYPE_CHECKING:
    from pytest_a2perf.domains.serving.replay.load import Load

__all__ = ["Agent", "length_of"]

_AHEAD = 0.25
"""Seconds before a turn is due at which a connection that was closed is made again."""

_BACK_OFF, _MOST_BACK_OFF = 1.0, 8.0
"""Seconds after a failed turn; twice as many after each further one, up to the most."""


class Agent:
    """Runs sessions over a client of its own, one after the other.

    Args:
        load: that it is part of.
        client: which only this agent uses.

    Attributes:
        number: of the agent, over all processes.
        run: how many sessions it has begun before this one.
        client: see above.
    """

    def __init__(self, load: Load, client: Client) -> None:
        self.number = 0
        self.run = 0
        self.client = client
        self._load = load
        self._plan: Plan = load.plan
        self._session = 0
        self._script: Script
        self._maker: BodyMaker
        self._turn = 0
        self._due = 0.0
        self._failures = 0  # in a row

    def take(self, session: int) -> Script:
        """Read the session that is to run next, and return it."""
        plan = self._plan
        nonce = nonce_of(plan.seed, plan.level, self.number, self.run)
        self._session = session
        self._script = self._load.scripts[session]
        self._maker = BodyMaker(plan.endpoint, self._script, nonce if plan.isolate_cache else "")
        return self._script

    def begin(self, due: float, turn: int = 0) -> None:
        """Run the session that was taken.

        Args:
            due: when its first turn is.
            turn: that is the first.
        """
        self._turn = turn
        self._wait(due)

    def _wait(self, due: float) -> None:
        self._due = due
        ahead = due - time.monotonic()
        if ahead <= 0:
            self._send()
            return
        if ahead > _AHEAD:
            self._load.timers.at(due - _AHEAD, self.client.prepare)
        self._load.timers.at(due, self._send)

    def _send(self) -> None:
        if self._load.stopping:
            return
        turn = self._script.turns[self._turn]
        wanted, most, force = length_of(self._plan, turn)
        body = self._maker.body(turn, most, force)
        self._load.sending(self, self._turn + 1 == len(self._script.turns))
        self.client.send(body, lambda exchange: self._ended(exchange, turn, wanted))

    def _ended(self, exchange: Exchange, turn: Turn, wanted: int) -> None:
        load, plan = self._load, self._plan
        last = self._turn + 1 == len(self._script.turns)
        before = (self.number, self._session, self.run, self._turn, self._due)
        if exchange.brief:
            # Whether it failed is known at once, and after a failure an agent must not race on.
            while not exchange.step():
                pass
        failed = exchange.brief and exchange.answer.failure != ""
        self._failures = self._failures + 1 if failed else 0
        pause = min(turn.pause * plan.pause_scale, plan.longest_pause)
        if failed:
            pause = max(pause, min(_BACK_OFF * 2 ** (self._failures - 1), _MOST_BACK_OFF))
        due = exchange.ended + pause
        self._turn += 1
        if last:
            self.run += 1
            load.over(self, due)
        else:
            self._wait(due)
        # Last, as the next turn may be due already.
        load.ended(exchange, before, wanted, last)


def length_of(plan: Plan, turn: Turn) -> tuple[int, int, bool]:
    """Return how long a reply shall be.

    Returns:
        The length that is asked for, or -1; the most tokens that are allowed; whether the length
        is forced.
    """
    recorded = turn.output_tokens
    if plan.output == "fixed":
        wanted = min(plan.fixed_tokens, plan.most_tokens)
        return wanted, wanted, True
    if plan.output == "free" or recorded is None:
        return -1, plan.most_tokens, False
    wanted = min(max(recorded, 1), plan.most_tokens)
    return wanted, wanted, plan.output == "exact"
