"""What came of a level: the requests of its steady window, and what the client knows of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_a2perf.domains.serving.replay.rows import Rows
    from pytest_a2perf.domains.serving.system.power import PowerReading
    from pytest_a2perf.runs.histogram import Histogram

__all__ = ["Client", "ClientCheck", "Level", "Rules"]


@dataclass(frozen=True, slots=True)
class Rules:
    """When a level's steady window begins, and when it may end.

    It begins once every agent has been active for ``settle`` seconds; it ends when all of the
    others hold. Requests count that were due inside of it, however long they take.

    Attributes:
        name: of the profile, shown beside every figure.
        settle: seconds.
        steady: seconds that it lasts at least.
        sessions: that have ended inside of it, at least.
        per_agent: as many of them for each agent, at least.
        requests: that have ended inside of it, at least.
        longest: seconds after which it ends in any case, and says what it lacks.
    """

    name: str
    settle: float
    steady: float
    sessions: int
    per_agent: float
    requests: int
    longest: float


@dataclass(frozen=True, slots=True)
class ClientCheck:
    """What is asked of a client, see `selfcheck`.

    Attributes:
        share: of a limit that its error may be.
        finest: seconds; a smaller error never matters.
        busiest: share of a core that a process may use.
        idle: share of the machine's time that should be idle, or it is told.
    """

    share: float = 0.05
    finest: float = 0.002
    busiest: float = 0.85
    idle: float = 0.05


@dataclass(frozen=True, slots=True)
class Client:
    """What the client knows of itself over a window.

    Attributes:
        processes: that made load.
        cores: CPU seconds a second, all of them.
        cpu_per_chunk: CPU seconds for each chunk.
        lag_p50, lag_p99, lag_max: seconds by which timers of the loops came late.
        lead_p95: seconds by which requests were sent late, see `Rows.lead`.
        limited: why the client, not the server, may have been the limit; empty if it was not.
    """

    processes: int
    cores: float
    cpu_per_chunk: float
    lag_p50: float
    lag_p99: float
    lag_max: float
    lead_p95: float
    limited: str = ""


@dataclass(slots=True)
class Level:
    """A load held for a while.

    Attributes:
        agents: at once; with ``rate``, the most that were open.
        rate: sessions started a second, of an open loop.
        begin, end: of the steady window, monotonic seconds.
        rows: requests that were due in the window, see `Rows`.
        sessions: that ended in the window.
        gaps: seconds between chunks, of the whole level.
        client: see `Client`.
        lacks: what the window lacks of the rules, in words; empty if nothing.
        refused: open loop: sessions that could not begin.
        power: what the system drew in the window, if anybody can tell.
        engine: what the server reports of itself over the window, see `system.engine`.
        tainted: what else may have spoilt it.
        profile: name of its rules.
        official: they are no weaker than the published method's.
    """

    agents: int
    rate: float | None
    begin: float
    end: float
    rows: Rows
    sessions: int
    gaps: Histogram
    client: Client
    lacks: str = ""
    refused: int = 0
    power: PowerReading | None = None
    engine: dict[str, float] = field(default_factory=dict)
    tainted: list[str] = field(default_factory=list)
    profile: str = ""
    official: bool = False

    @property
    def load(self) -> str:
        """The load in words."""
        if self.rate is not None:
            return f"{self.rate:g} sessions a second"
        return f"{self.agents} agent{'' if self.agents == 1 else 's'}"

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return self.end - self.begin

    def to_json(self) -> dict[str, Any]:
        """Return what a record keeps of it: see `replay.summary`."""
        from pytest_a2perf.domains.serving.replay.summary import summary_of

        return summary_of(self)
