"""The scheduler for pytest-xdist: it hands the collected items to the workers.

An xdist worker runs an item only when it knows the next one, or that there is none. So each worker
is kept one item ahead, and an idle worker may still hold an item. That is also how items that
must run alone are kept back: a worker holds one until every other worker of its machine is done.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from xdist.report import report_collection_diff

from pytest_a2perf.scheduling.jobs import Job, JobQueue
from pytest_a2perf.scheduling.manifest import Manifest, Work

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

__all__ = ["TrialScheduling"]

_AHEAD = 0.2
"""Seconds of work that a worker should have waiting, so that short items do not starve it."""


@dataclass(slots=True, eq=False)
class _Seat:
    """What the scheduler knows of one worker.

    Attributes:
        manifest: what the worker has told, once its collection is in.
        collection: its node ids, once they are in.
        pending: items sent and not completed, in order.
        seconds: how long each of them was expected to take when it was sent.
        load: their sum.
        group: the rest of a group that the worker has begun.
        held: the item it holds back until its machine is quiet, if any.
    """

    manifest: Manifest | None = None
    collection: list[str] | None = None
    pending: deque[int] = field(default_factory=deque)
    seconds: dict[int, float] = field(default_factory=dict)
    load: float = 0.0
    group: Job | None = None
    held: int | None = None

    @property
    def host(self) -> str:
        return "" if self.manifest is None else self.manifest.host

    def add(self, index: int, seconds: float) -> None:
        self.pending.append(index)
        self.seconds[index] = seconds
        self.load += seconds

    def complete(self, index: int) -> None:
        self.pending.remove(index)
        self.load -= self.seconds.pop(index)

    @property
    def waiting(self) -> float:
        """Seconds of work beyond the item that runs."""
        return self.load - self.seconds[self.pending[0]] if self.pending else 0.0

    def suits(self, target: str) -> bool:
        return self.manifest is not None and target not in self.manifest.missing


class TrialScheduling:
    """Longest first, groups together, targets met, exclusive trials alone and last.

    Args:
        config: pytest's.
        workers: how many workers there are at first.
        manifests: what the workers have told, by the worker's id; filled as they report.
        expected: mean seconds of a trial by scenario, from earlier runs; updated in this one.
        decided: whether the seeds of a scenario that were not begun are no longer wanted.
        started: node ids of the items that were begun.
    """

    def __init__(
        self,
        config: pytest.Config,
        workers: int,
        manifests: Mapping[str, Manifest],
        *,
        expected: Mapping[str, float],
        decided: Callable[[str], bool],
        started: Callable[[str], bool],
    ) -> None:
        self.config = config
        self._workers = workers
        self._manifests = manifests
        self._decided = decided
        self._started = started
        self._means = dict(expected)
        self._counts: dict[str, int] = defaultdict(int)
        self._seats: dict[WorkerController, _Seat] = {}
        self._collection: list[str] | None = None
        self._work_of: list[Work] = []
        self._jobs = JobQueue()
        self._alone: list[Job] = []
        self._met: set[str] = set()
        self.dropped: list[str] = []

    def running(self) -> list[tuple[WorkerController, str, float]]:
        """Return the first item of each worker that has a timeout: worker, node id, timeout.

        May be called from any thread.
        """
        found = []
        for node, seat in list(self._seats.items()):
            head = next(iter(list(seat.pending)), None)
            timeout = None if head is None else self._work_of[head].timeout
            if self._collection is not None and head is not None and timeout is not None:
                found.append((node, self._collection[head], timeout))
        return found

    # -- what xdist asks -----------------------------------------------------------------------

    @property
    def nodes(self) -> list[WorkerController]:
        """All workers."""
        return list(self._seats)

    @property
    def collection_is_completed(self) -> bool:
        """Whether as many workers as there were at first have collected."""
        if self._collection is not None:
            return True
        return sum(seat.collection is not None for seat in self._seats.values()) >= self._workers

    @property
    def has_pending(self) -> bool:
        """Whether items wait or run."""
        return bool(self._waiting() or any(seat.pending for seat in self._seats.values()))

    @property
    def tests_finished(self) -> bool:
        """Whether everything was handed out and every worker told to finish."""
        if not self.collection_is_completed or self._waiting():
            return False
        return all(node.shutting_down for node in self._seats)

    def add_node(self, node: WorkerController) -> None:
        """Welcome a worker that has started."""
        self._seats[node] = _Seat()

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Take what a worker has collected."""
        seat = self._seats[node]
        seat.collection = list(collection)
        seat.manifest = self._manifests.get(node.gateway.id)
        if seat.manifest is not None:
            targets = {work.target for work in seat.manifest.works}
            self._met |= targets - seat.manifest.missing.keys()

    def schedule(self) -> None:
        """Hand out work, for the first time or to a worker that came later."""
        if self._collection is None:
            if not self._same_collections():
                self._finish()
                return
            self._prepare()
        self._advance()

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        """Take note that a worker has completed an item; hand out more."""
        seat = self._seats[node]
        seat.complete(item_index)
        work = self._work_of[item_index]
        if work.kind != "gate":
            self._counts[work.scenario] += 1
            mean = self._means.get(work.scenario, duration)
            self._means[work.scenario] = mean + (duration - mean) / self._counts[work.scenario]
        self._advance()

    def mark_test_pending(self, item: str) -> None:
        """Run an item once more."""
        assert self._collection is not None
        self._return([self._collection.index(item)])
        self._advance()

    def remove_pending_tests_from_node(
        self, node: WorkerController, indices: Sequence[int]
    ) -> None:
        """Never called: it answers a command that this scheduler does not send."""
        raise NotImplementedError

    def remove_node(self, node: WorkerController) -> str | None:
        """Take back the work of a worker that is gone; return the item that it died of, if any."""
        seat = self._seats.pop(node)
        if self._collection is None:
            return None
        crashed = None
        if seat.pending and self._started(self._collection[seat.pending[0]]):
            crashed = self._collection[seat.pending.popleft()]
        self._return([*seat.pending, *(seat.group.items if seat.group else ())])
        self._advance()
        return crashed

    # -- preparation ---------------------------------------------------------------------------

    def _same_collections(self) -> bool:
        (first, seat), *others = self._seats.items()
        reference = seat.collection or []
        same = True
        for node, other in others:
            difference = report_collection_diff(
                reference, other.collection or [], first.gateway.id, node.gateway.id
            )
            if difference:
                same = False
                report = pytest.CollectReport(node.gateway.id, "failed", difference, [])
                self.config.hook.pytest_collectreport(report=report)
        return same

    def _prepare(self) -> None:
        seat = next(iter(self._seats.values()))
        self._collection = seat.collection or []
        if seat.manifest is None:  # a worker that does not tell runs everything
            self._work_of = [Work("test")] * len(self._collection)
        else:
            self._work_of = [seat.manifest.works[index] for index in seat.manifest.items]
        groups: dict[str, Job] = {}
        jobs: list[Job] = []
        mean = sum(self._means.values()) / len(self._means) if self._means else 1.0
        for index, work in enumerate(self._work_of):
            seconds = self._means.get(work.scenario, mean) if work.kind == "trial" else 0.0
            if work.group and work.group in groups:
                groups[work.group].items.append(index)
                groups[work.group].seconds += seconds
                continue
            job = Job(work, deque([index]), seconds)
            jobs.append(job)
            if work.group:
                groups[work.group] = job
        self._alone = sorted((job for job in jobs if job.work.exclusive), key=lambda job: job.rank)
        self._jobs = JobQueue(job for job in jobs if not job.work.exclusive)

    # -- handing out ---------------------------------------------------------------------------

    def _waiting(self) -> bool:
        return bool(self._jobs or self._alone or any(seat.group for seat in self._seats.values()))

    def _return(self, items: Sequence[int]) -> None:
        """Let items wait again, before all others; those of a group stay together."""
        jobs: dict[str | int, Job] = {}
        for index in items:
            work = self._work_of[index]
            job = jobs.setdefault(work.group or index, Job(work, deque()))
            job.items.append(index)
        for job in reversed(jobs.values()):
            if job.work.exclusive:
                self._alone.insert(0, job)
            else:
                self._jobs.put_back(job)
        self._alone.sort(key=lambda job: job.work.turn)

    def _advance(self) -> None:
        """Hand out everything that can be handed out now."""
        ready = {
            node: seat
            for node, seat in self._seats.items()
            if seat.collection is not None and not node.shutting_down
        }
        free = {
            node: seat
            for node, seat in ready.items()
            if seat.held is None and not self._runs_alone(seat.host)
        }
        for ahead in (1, 2):  # everybody has something to do before anybody gets more
            for node, seat in sorted(free.items(), key=lambda entry: entry[1].load):
                self._feed(node, seat, ahead)
        if not self._jobs:  # who still has a group goes on with that
            self._share_alone({node: seat for node, seat in ready.items() if seat.group is None})
        self._release(ready)

    def _feed(self, node: WorkerController, seat: _Seat, ahead: int) -> None:
        """Give a worker ``ahead`` items, or more short ones, but no more than its share."""
        batch: list[int] = []
        if len(seat.pending) >= ahead and seat.waiting > _AHEAD / 2:
            return  # a message for many short items is cheaper than one for each
        share = ahead + len(self._jobs) // (4 * len(self._seats))
        while len(seat.pending) < ahead or (seat.waiting < _AHEAD and len(seat.pending) < share):
            index = self._next(seat)
            if index is None:
                break
            batch.append(index)
            seat.add(index, self._seconds(index))
        if batch:
            node.send_runtest_some(batch)

    def _seconds(self, index: int) -> float:
        work = self._work_of[index]
        if work.kind == "gate":
            return 0.0
        mean = self._means.get(work.scenario, _AHEAD)
        return max(mean, _AHEAD) if work.may_stop else mean  # none that may not be needed ahead

    def _next(self, seat: _Seat) -> int | None:
        """Take the next item for a worker: of its group, or of the first job that suits it."""
        while True:
            job = seat.group or self._jobs.take(lambda target: self._may(seat, target))
            if job is None:
                return None
            index = job.items.popleft()
            seat.group = job if job.items else None
            if not self._drop(index):
                return index

    def _drop(self, index: int) -> bool:
        work = self._work_of[index]
        if work.kind != "trial" or work.needed or not self._decided(work.scenario):
            return False
        assert self._collection is not None
        self.dropped.append(self._collection[index])
        return True

    def _may(self, seat: _Seat, target: str) -> bool:
        """Whether a worker may run jobs of a target: it suits, or no worker ever did.

        Where the only one that suits has died, its replacement will.
        """
        return target not in self._met or seat.suits(target)

    # -- alone on a machine --------------------------------------------------------------------

    def _share_alone(self, ready: Mapping[WorkerController, _Seat]) -> None:
        """Let workers hold one exclusive item each; those that get none may finish."""
        for node, seat in ready.items():
            if seat.held is None:
                seat.held = self._next_alone(seat)
                if seat.held is None:
                    node.shutdown()
                else:
                    self._send(node, seat, seat.held)

    def _release(self, ready: Mapping[WorkerController, _Seat]) -> None:
        """Start one held item on each machine whose workers all hold theirs or have nothing."""
        if any(seat.collection is None for seat in self._seats.values()):
            return  # a worker that collects is not quiet
        quiet: dict[str, bool] = defaultdict(lambda: True)
        for seat in self._seats.values():
            quiet[seat.host] &= list(seat.pending) in ([], [seat.held])
        holding = {
            node: (self._work_of[seat.held].turn, seat.held)
            for node, seat in ready.items()
            if seat.held is not None
        }
        for node in sorted(holding, key=holding.__getitem__):  # what is needed comes first
            seat = ready[node]
            if not quiet[seat.host] or self._would_wait(holding[node][1]):
                continue
            quiet[seat.host] = False
            seat.held = self._next_alone(seat)
            following = self._next(seat) if seat.held is None else seat.held
            if following is None:
                node.shutdown()
            else:
                self._send(node, seat, following)

    def _would_wait(self, index: int) -> bool:
        """Whether an exclusive item may need one that is to be handed out again.

        A worker that died held it. Handed out behind the item that needs it, it would never begin;
        a new worker comes and takes it.
        """
        work = self._work_of[index]
        return any(
            job.work.needed
            and (
                job.work.turn < work.turn
                or (job.work.group == work.group != "" and job.items[0] < index)
            )
            for job in self._alone
        )

    def _runs_alone(self, host: str) -> bool:
        """Whether an exclusive item runs on a machine."""
        return any(
            seat.host == host
            and seat.pending
            and self._work_of[seat.pending[0]].exclusive
            and (len(seat.pending) > 1 or node.shutting_down)
            for node, seat in self._seats.items()
        )

    def _next_alone(self, seat: _Seat) -> int | None:
        for position, job in enumerate(self._alone):
            if self._may(seat, job.work.target):
                index = job.items.popleft()
                if not job.items:
                    del self._alone[position]
                return self._next_alone(seat) if self._drop(index) else index
        return None

    def _send(self, node: WorkerController, seat: _Seat, index: int) -> None:
        seat.add(index, self._seconds(index))
        node.send_runtest_some([index])

    def _finish(self) -> None:
        for node in self._seats:
            node.shutdown()
