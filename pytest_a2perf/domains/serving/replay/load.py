"""The agents of one load process, as a closed or as an open loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from pytest_a2perf.domains.serving.client.body import BodyMaker
from pytest_a2perf.domains.serving.client.connection import Limits
from pytest_a2perf.domains.serving.client.connector import connector
from pytest_a2perf.domains.serving.client.counter import token_counter
from pytest_a2perf.domains.serving.client.exchange import Client, Exchange
from pytest_a2perf.domains.serving.client.idle import Idle
from pytest_a2perf.domains.serving.replay.agent import Agent
from pytest_a2perf.domains.serving.replay.chance import (
    arrivals,
    first_turn,
    nonce_of,
    session_of_agent,
    session_of_arrival,
)
from pytest_a2perf.domains.serving.replay.plan import Plan, Status
from pytest_a2perf.domains.serving.replay.rowwriter import RowWriter
from pytest_a2perf.domains.serving.replay.scripts import Scripts
from pytest_a2perf.domains.serving.replay.timers import Timers

__all__ = ["ClosedLoop", "Load", "OpenLoop", "load_of"]

_OPENING = 64  # connections that are made at once
_CONNECT = 10.0
_WARM_TOKENS = 16


class Load:
    """What agents share; to be made where an event loop runs.

    Args:
        plan: see `Plan`.
        rows: that requests are written to.
        timers: that tell what is due.

    Attributes:
        plan, timers: see above.
        scripts: the workload.
        status: counters.
        stopping: no turn may begin any more.

    Raises:
        A2PerfError: the plan makes no sense.
    """

    def __init__(self, plan: Plan, rows: RowWriter, timers: Timers) -> None:
        self.plan = plan
        self.timers = timers
        self.status = Status()
        self.stopping = False
        self._rows = rows
        self._idle = Idle()
        self._unread = 0  # replies that have ended
        self._settled = asyncio.Event()
        self.scripts = Scripts(plan.workload, plan.endpoint, self._idle)
        connect = connector(
            plan.endpoint,
            Limits(min(_CONNECT, plan.stall), plan.stall, plan.longest),
            count=token_counter(plan.tokenizer),
            idle=self._idle,
        )
        self._numbers = range(plan.share, plan.agents, plan.shares)
        self._agents = [Agent(self, connect()) for _ in self._numbers]

    async def prepare(self) -> None:
        """Connect all agents, make the requests that warm up, and read the first sessions."""
        clients = [agent.client for agent in self._agents]
        for begin in range(0, len(clients), _OPENING):
            await asyncio.gather(*(one.open() for one in clients[begin : begin + _OPENING]))
        numbers = range(self.plan.share, self.plan.warmup, self.plan.shares)
        lanes = len(clients) or 1
        await asyncio.gather(
            *(self._warm(client, numbers[lane::lanes]) for lane, client in enumerate(clients))
        )

    async def _warm(self, client: Client, numbers: range) -> None:
        plan = self.plan
        for number in numbers:
            script = self.scripts[session_of_arrival(plan.seed, len(self.scripts), number)]
            nonce = nonce_of(plan.seed, plan.level, "warm-up", number)
            maker = BodyMaker(plan.endpoint, script, nonce if plan.isolate_cache else "")
            await client.request(maker.body(script.turns[0], min(_WARM_TOKENS, plan.most_tokens)))

    def start(self, at: float) -> None:
        """Begin at a time of the monotonic clock."""
        raise NotImplementedError

    def over(self, agent: Agent, due: float) -> None:
        """Take in that an agent's session has ended, and when its next turn would be due."""
        raise NotImplementedError

    def stop(self) -> None:
        """Let no turn begin any more."""
        self.stopping = True

    async def drain(self) -> None:
        """Wait until the requests under way have ended, and all replies were read."""
        self._settle()
        await self._settled.wait()

    def _settle(self) -> None:
        if self.stopping and not self.status.in_flight and not self._unread:
            self._settled.set()

    def sending(self, agent: Agent, last: bool) -> None:  # noqa: ARG002 - for closed loops
        """Take in that an agent sends a turn, and whether it is its session's last."""
        self.status.in_flight += 1

    def ended(
        self, exchange: Exchange, before: tuple[int | float, ...], wanted: int, last: bool
    ) -> None:
        """Take in the end of a turn, whose reply is read when there is time."""
        self.status.in_flight -= 1
        self.status.turns += 1
        self.status.sessions += last
        self._unread += 1

        def read() -> bool:
            if not exchange.step():
                return False
            self.status.failed += exchange.answer.failure != ""
            self._rows.add(before, exchange.answer, wanted, last)
            self._unread -= 1
            self._settle()
            return True

        self._idle.add(read)

    def read_status(self) -> Status:
        """Return the counters as they are now."""
        self.status.at, self.status.cpu = time.monotonic(), time.process_time()
        return self.status

    def close(self) -> None:
        """Give up all connections."""
        for agent in self._agents:
            agent.client.close()


class ClosedLoop(Load):
    """So many agents at once: each begins a session when the one before it has ended."""

    def __init__(self, plan: Plan, rows: RowWriter, timers: Timers) -> None:
        super().__init__(plan, rows, timers)
        self._waiting = set(self._agents)  # those that have not sent yet

    async def prepare(self) -> None:
        """Get ready, see `Load.prepare`."""
        for agent, number in zip(self._agents, self._numbers, strict=True):
            agent.number = number
            agent.take(self._session_of(agent))
        await super().prepare()

    def start(self, at: float) -> None:
        """Begin, all agents at once or evenly over the ramp."""
        plan = self.plan
        for agent in self._agents:
            turns = len(agent.take(self._session_of(agent)).turns)
            first = first_turn(plan.seed, agent.number, turns) if plan.spread else 0
            agent.begin(at + plan.ramp * agent.number / plan.agents, first)
        if not self._agents:
            self.status.since = at

    def sending(self, agent: Agent, last: bool) -> None:
        """Take in that an agent sends a turn; before its next session, read that."""
        super().sending(agent, last)
        if last:
            self.scripts.prefetch(self._session_of(agent, ahead=1))
        if agent in self._waiting:
            self._waiting.discard(agent)
            self.status.active += 1
            if not self._waiting:
                self.status.since = time.monotonic()

    def over(self, agent: Agent, due: float) -> None:
        """Let the agent begin its next session."""
        if not self.stopping:
            agent.take(self._session_of(agent))
            agent.begin(due)

    def _session_of(self, agent: Agent, ahead: int = 0) -> int:
        sessions, run = len(self.scripts), agent.run + ahead
        return session_of_agent(self.plan.seed, sessions, agent.number, run)


class OpenLoop(Load):
    """So many sessions a second, whether those before have ended or not.

    Sessions of which too many are open already do not begin, and are counted.
    """

    def __init__(self, plan: Plan, rows: RowWriter, timers: Timers) -> None:
        super().__init__(plan, rows, timers)
        assert plan.rate is not None
        self._free = list(self._agents)
        self._times: Iterator[float] = arrivals(plan.seed, plan.rate)
        self._arrival = -1
        self._begin = 0.0

    def start(self, at: float) -> None:
        """Begin: the first session arrives some time later."""
        self._begin = self.status.since = at
        self._await()

    def over(self, agent: Agent, due: float) -> None:  # noqa: ARG002 - nothing follows
        """Keep the agent for another arrival."""
        self.status.active -= 1
        self._free.append(agent)

    def _await(self) -> None:
        """Wait for the next arrival of this process's share."""
        while True:
            self._arrival += 1
            due = self._begin + next(self._times)
            if self._arrival % self.plan.shares == self.plan.share:
                break
        session = session_of_arrival(self.plan.seed, len(self.scripts), self._arrival)
        self.scripts.prefetch(session)
        self.timers.at(due, lambda: self._arrive(session, due))

    def _arrive(self, session: int, due: float) -> None:
        if self.stopping:
            return
        if self._free:
            agent = self._free.pop()
            agent.number, agent.run = self._arrival, 0
            self.status.active += 1
            agent.take(session)
            agent.begin(due)
        else:
            self.status.refused += 1
        self._await()


def load_of(plan: Plan, rows: RowWriter, timers: Timers) -> Load:
    """Return the load that a plan describes.

    Raises:
        A2PerfError: the plan makes no sense.
    """
    return (ClosedLoop if plan.rate is None else OpenLoop)(plan, rows, timers)
