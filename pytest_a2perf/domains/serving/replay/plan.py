"""What a process that makes load is told, and what it tells: plain JSON, nothing heavy.

A *level* is one load held for a while: so many agents at once, or so many sessions started a
second. The trial's process starts one or more load processes for it, each of which carries a share
of the agents. They talk over pipes, a JSON object a line:

* to the load process: first its `Plan`; after its ``ready``, ``{"do": "start", "at": T}``, so that
  all processes begin together; at last ``{"do": "stop"}``, after which no turn begins and those in
  flight come to their end.
* from it: ``{"event": "ready"}`` once it is connected and warm; ``{"event": "status", ...}``, see
  `Status`, a few times a second; ``{"event": "done"}`` when everything is written; or ``{"event":
  "error", "message": ...}``.

Rows go to a file, a JSON list a line in the order of `COLUMNS`, written as requests end; after the
last one, ``{"gaps": {...}, "lag": {...}}``: the gaps between chunks and the loop's lag as counts
by bucket. All times are of ``time.monotonic()``, which the processes of a machine share.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from pytest_a2perf.domains.serving.client.endpoint import Endpoint

__all__ = ["COLUMNS", "Output", "Plan", "Status"]

Output = Literal["free", "recorded", "exact", "fixed"]
"""How long replies are: as the server likes; at most as recorded; exactly as recorded, by
``ignore_eos``; or all the same length, by ``ignore_eos``."""

COLUMNS = (
    "agent",  # number of the agent, from 0 over all processes
    "session",  # number of the session in the workload
    "run",  # how many sessions this agent has begun before this one
    "turn",  # number of the turn in its session
    "due",  # when the agent wanted to send it: the pause after its last reply was over
    "sent", "first", "last", "ended", "connecting",  # see `Answer`
    "chunks", "prompt_tokens", "cached_tokens", "output_tokens", "reasoning_tokens",
    "accepted_tokens", "rejected_tokens", "counted", "finish", "failure", "error", "status",
    "wanted_tokens",  # length that was asked for, or -1
    "last_turn",  # whether it ended its session: 1 or 0
)  # fmt: skip
"""Columns of a row: one request."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The share of one load process in a level.

    Attributes:
        endpoint: see `Endpoint`.
        workload: file of sessions in the internal form.
        rows: file that rows are written to.
        shares: number of load processes.
        share: number of this one: it carries the agents whose number modulo ``shares`` is this.
        agents: of the whole level; with ``rate``, the most sessions that may be open at once.
        rate: sessions started a second, over all processes (open loop); None: closed loop.
        ramp: seconds over which the agents of a closed loop begin, evenly.
        seed: decides orders of sessions, first turns, arrivals and nonces.
        level: text that makes nonces of different levels differ.
        output: see `Output`.
        fixed_tokens: with ``fixed``, the length of replies.
        most_tokens: no reply may be longer; a guard against loops.
        isolate_cache: begin each session with a random prefix, so that the server's prefix cache
            works within a session and not between sessions or levels.
        spread: begin the first session of each agent at a random turn between a quarter and three
            quarters, so that agents are not in step.
        pause_scale: factor of recorded pauses.
        longest_pause: seconds that a pause is cut to.
        stall: seconds of silence after which a request is given up.
        longest: seconds after which a request is given up in any case.
        warmup: requests that are made, and not counted, before the level begins.
        tokenizer: path of a ``tokenizer.json`` that counts tokens where the server does not; "".
    """

    endpoint: Endpoint
    workload: str
    rows: str
    shares: int = 1
    share: int = 0
    agents: int = 1
    rate: float | None = None
    ramp: float = 0.0
    seed: int = 0
    level: str = ""
    output: Output = "free"
    fixed_tokens: int = 0
    most_tokens: int = 16_384
    isolate_cache: bool = True
    spread: bool = True
    pause_scale: float = 1.0
    longest_pause: float = 60.0
    stall: float = 60.0
    longest: float = 600.0
    warmup: int = 0
    tokenizer: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """Inverse of `to_json`."""
        return cls(**{**data, "endpoint": Endpoint(**data["endpoint"])})


@dataclass(slots=True)
class Status:
    """How far a load process is; members of ``{"event": "status"}``.

    Attributes:
        at: monotonic time.
        active: agents that have sent their first turn.
        since: when the last of its agents became active; 0 while some have not.
        turns: requests that have ended.
        failed: of those, how many failed.
        sessions: sessions that have ended.
        in_flight: requests under way.
        cpu: CPU seconds that the process has used.
        refused: open loop: sessions that could not begin because too many were open.
    """

    at: float = 0.0
    active: int = 0
    since: float = 0.0
    turns: int = 0
    failed: int = 0
    sessions: int = 0
    in_flight: int = 0
    cpu: float = 0.0
    refused: int = 0
