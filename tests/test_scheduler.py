"""The scheduler, driven by simulated workers that follow xdist's rules to the letter.

A worker runs an item only once it knows the next one, or that there is none; `Machine` keeps that
rule, a clock, and a list of what ran when. The real thing is in test_scheduling.py.
"""

from __future__ import annotations

import heapq
from collections import deque
from types import SimpleNamespace

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.keys import PLACE, PLANNED
from pytest_a2perf.scenarios.models import Scenario
from pytest_a2perf.scheduling.manifest import Manifest, Work, manifest_of
from pytest_a2perf.scheduling.order import NOWHERE
from pytest_a2perf.scheduling.scheduler import TrialScheduling
from pytest_a2perf.scheduling.selection import select
from pytest_a2perf.trials.plan import PlannedTrial


class Worker:
    def __init__(self, name, host, lacks=()):
        self.gateway = SimpleNamespace(id=name)
        self.host = host
        self.lacks = lacks
        self.queue = deque()
        self.shutting_down = False
        self.running = None
        self.dead = False

    def __repr__(self):
        return self.gateway.id

    def send_runtest_some(self, indices):
        assert not self.shutting_down
        self.queue.extend(indices)

    def shutdown(self):
        self.shutting_down = True


class Machine:
    """Runs a collection of ``(work, seconds)`` on workers; keeps ``(start, end, worker, index)``."""

    def __init__(
        self, items, workers, *, expected=None, decided=lambda scenario: False, dies=(), needs=None
    ):
        self.items = items
        self.needs = needs or {}
        self.ids = [f"item{i}" for i in range(len(items))]
        self.workers = list(workers)
        self.dies = set(dies)
        self.manifests = {}
        self.began = set()
        self.over = set()
        self.log = []
        self.crashed = []
        self.now = 0.0
        self.events = []
        self.sched = TrialScheduling(
            SimpleNamespace(hook=None), len(self.workers), self.manifests,
            expected=expected or {}, decided=decided, started=self.began.__contains__,
        )  # fmt: skip

    def join(self, worker):
        works = list(dict.fromkeys(work for work, _ in self.items))
        self.sched.add_node(worker)
        self.manifests[worker.gateway.id] = Manifest(
            worker.host,
            tuple(works),
            tuple(works.index(work) for work, _ in self.items),
            dict.fromkeys(worker.lacks, "not here"),
        )
        self.sched.add_node_collection(worker, self.ids)

    def run(self):
        for worker in self.workers:
            self.join(worker)
        assert self.sched.collection_is_completed
        self.sched.schedule()
        spare = 0
        while True:
            self._begin()
            if not self.events:
                break
            self.now, _, worker, index = heapq.heappop(self.events)
            self.log[self.log.index((worker, index, None))] = (worker, index, self.now)
            self.over.add(index)
            worker.running = None
            if index in self.dies:
                self.dies.discard(index)
                self.crashed.append(self.sched.remove_node(worker))
                worker.dead = True
                spare += 1
                clone = Worker(f"{worker}-{spare}", worker.host, worker.lacks)
                self.workers.append(clone)
                self.join(clone)
                self.sched.schedule()
            else:
                self.sched.mark_test_complete(worker, index, self.items[index][1])
        for worker in self.workers:
            if not worker.dead:
                assert worker.shutting_down, f"{worker} was never told to finish: deadlock"
                assert not worker.queue
                assert self.sched.remove_node(worker) is None
        assert self.sched.tests_finished
        return self

    def _begin(self):
        progress = True
        while progress:
            progress = False
            for worker in self.workers:
                knows_next = len(worker.queue) >= 2 or worker.shutting_down
                if worker.running is None and not worker.dead and worker.queue and knows_next:
                    index = worker.queue[0]
                    if not self.needs.get(index, set()) <= self.over:
                        continue  # it waits for what others leave behind
                    worker.queue.popleft()
                    worker.running = index
                    self.began.add(self.ids[index])
                    self.starts = getattr(self, "starts", {})
                    self.starts[index] = (worker, self.now)
                    self.log.append((worker, index, None))
                    end = self.now + self.items[index][1]
                    heapq.heappush(self.events, (end, len(self.log), worker, index))
                    progress = True

    def ran(self):
        return sorted(index for _, index, _ in self.log)

    def spans(self):
        return {index: (self.starts[index][0], self.starts[index][1], end) for worker, index, end in self.log}  # fmt: skip


def trial(scenario="s", **keys):
    return Work("trial", scenario, **keys)


def gpu_and_cpu():
    return [Worker("gw0", "a"), Worker("gw1", "a", lacks=("cuda",))]


def overlap(one, other):
    return one[1] < other[2] and other[1] < one[2]


def test_the_longest_scenarios_begin_first():
    items = [(trial("short"), 1.0)] * 4 + [(trial("long"), 4.0)] * 2
    machine = Machine(
        items, [Worker("gw0", "a"), Worker("gw1", "a")], expected={"short": 1.0, "long": 4.0}
    ).run()
    assert [index for _, index, _ in machine.log[:2]] == [4, 5]
    assert machine.now == 6.0


def test_gates_come_first_and_ordinary_tests_keep_their_order():
    items = [(Work("test"), 0.1)] * 3 + [(trial(), 1.0)] * 2 + [(Work("gate", "s"), 0.0)]
    machine = Machine(items, [Worker("gw0", "a")]).run()
    assert [index for _, index, _ in machine.log] == [5, 3, 4, 0, 1, 2]


def test_a_group_stays_on_one_worker():
    items = [(trial(f"s{i % 3}", group=f"g{i % 3}"), 1.0) for i in range(12)]
    machine = Machine(items, [Worker("gw0", "a"), Worker("gw1", "a")]).run()
    for group in range(3):
        used = {span[0] for index, span in machine.spans().items() if index % 3 == group}
        assert len(used) == 1


def test_targets_are_matched_to_workers_that_have_them():
    items = [(trial("gpu", target="cuda"), 2.0)] * 3 + [(trial("cpu"), 1.0)] * 6
    machine = Machine(items, gpu_and_cpu()).run()
    assert machine.ran() == list(range(9))
    assert {machine.spans()[index][0].gateway.id for index in range(3)} == {"gw0"}


def test_a_target_that_nobody_has_still_runs_to_be_skipped_with_its_reason():
    items = [(trial("tpu", target="tpu"), 0.0), (trial(), 1.0)]
    machine = Machine(items, [Worker("gw0", "a", lacks=("tpu",))]).run()
    assert machine.ran() == [0, 1]


def test_exclusive_trials_are_alone_on_their_machine():
    items = [(trial("quiet", exclusive=True), 1.0)] * 3 + [(trial(), 1.5)] * 5
    workers = [Worker("gw0", "a"), Worker("gw1", "a"), Worker("gw2", "b")]
    machine = Machine(items, workers).run()
    spans = machine.spans()
    assert machine.ran() == list(range(8))
    for index in range(3):
        for other, span in spans.items():
            if other != index and span[0].host == spans[index][0].host:
                assert not overlap(span, spans[index])


def test_seeds_of_a_decided_scenario_are_dropped():
    machine = Machine(
        [(trial("a"), 1.0)] * 20, [Worker("gw0", "x")], decided=lambda _: len(machine.log) >= 5
    )
    machine.run()
    assert len(machine.log) == 6  # one was with the worker already
    assert len(machine.sched.dropped) == 14


def test_a_crash_is_blamed_on_the_item_that_ran_and_the_rest_goes_on():
    items = [(trial(), 1.0)] * 6
    machine = Machine(items, [Worker("gw0", "a"), Worker("gw1", "a")], dies=[2]).run()
    assert machine.crashed == ["item2"]
    assert machine.ran() == list(range(6))


def test_gpu_trials_wait_for_the_replacement_of_the_worker_that_had_the_gpu():
    items = [(trial("gpu", target="cuda"), 1.0)] * 6
    machine = Machine(items, gpu_and_cpu(), dies=[2]).run()
    assert machine.ran() == list(range(6))
    assert {span[0].lacks for span in machine.spans().values()} == {()}


def test_short_items_are_sent_in_batches():
    sent = []
    worker = Worker("gw0", "a")
    worker.send_runtest_some = lambda indices: (sent.append(len(indices)), worker.queue.extend(indices))  # fmt: skip
    Machine([(trial(), 0.001)] * 2000, [worker], expected={"s": 0.001}).run()
    assert max(sent) > 100


works = st.builds(
    Work,
    st.just("trial"),
    st.sampled_from("abc"),
    group=st.sampled_from(["", "", "g", "h"]),
    exclusive=st.booleans(),
    target=st.sampled_from(["", "", "cuda", "tpu"]),
).map(lambda work: work if not work.group else Work("trial", work.scenario, group=work.group))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    items=st.lists(st.tuples(works, st.sampled_from([0.0, 0.01, 1.0, 3.0])), min_size=1, max_size=25),
    workers=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from([(), ("cuda",), ("tpu",), ("cuda", "tpu")])),
        min_size=1, max_size=4,
    ),
    dies=st.sets(st.integers(0, 24), max_size=3),
)  # fmt: skip
def test_everything_runs_once_alone_where_asked_whatever_the_workers(items, workers, dies):
    machine = Machine(
        items,
        [Worker(f"gw{i}", host, lacks) for i, (host, lacks) in enumerate(workers)],
        dies={index for index in dies if index < len(items)},
    ).run()
    assert machine.ran() == list(range(len(items)))
    assert len(machine.crashed) == len({index for index in dies if index < len(items)})
    spans = machine.spans()
    hosts_with = {t: any(t not in lacks for _, lacks in workers) for t in ("cuda", "tpu")}
    for index, span in spans.items():
        work = items[index][0]
        if hosts_with.get(work.target):
            assert work.target not in span[0].lacks
        if work.exclusive:
            for other, second in spans.items():
                if other != index and second[0].host == span[0].host:
                    assert not overlap(span, second)


def item(name, seed, *, needs, trains, group, exclusive):
    agent = "random" if needs is None else f"run:{needs}"
    scenario = Scenario.model_construct(
        name=name, agent=agent, phase="train" if trains else "inference", group=group or None,
        exclusive=exclusive, agent_options={}, dataset=None, target="cpu", timeout=None, seeds=3,
    )  # fmt: skip
    stash = pytest.Stash()
    stash[PLANNED] = PlannedTrial(scenario, f"f::{name}", seed, "")
    nodeid = f"f::{name}[{seed}]"
    return SimpleNamespace(nodeid=nodeid, stash=stash, get_closest_marker=lambda _: None)


chains = st.lists(
    st.tuples(
        st.integers(1, 3),  # seeds
        st.sampled_from([None, 0, 1, 2, 3]),  # what it needs, if that comes before it
        st.sampled_from(["", "", "g", "h"]),
        st.booleans(),
        st.sampled_from([0.0, 0.01, 1.0, 3.0]),
    ),
    min_size=2,
    max_size=7,
)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    chain=chains,
    hosts=st.lists(st.sampled_from("ab"), min_size=1, max_size=4),
    dies=st.sets(st.integers(0, 20), max_size=2),
    order=st.randoms(use_true_random=False),
)
def test_what_others_need_is_over_before_and_nothing_waits_forever(chain, hosts, dies, order):
    items, seconds = [], {}
    for place, (seeds, needed, group, exclusive, cost) in enumerate(chain):
        needs = None if needed is None or needed >= place else f"s{needed}"
        for seed in range(seeds):
            made = item(
                f"s{place}", seed, needs=needs, trains=True, group=group, exclusive=exclusive
            )
            items.append(made)
            seconds[made.nodeid] = cost
    order.shuffle(items)
    try:
        selection = select(items, {}, None, {})
    except A2PerfError as error:
        event(str(error).partition(":")[0])
        return
    here = selection.here
    index = {made.nodeid: place for place, made in enumerate(here)}
    works = manifest_of(here, selection)
    needs = {
        index[made.nodeid]: {index[other] for other in made.stash.get(PLACE, NOWHERE).needs}
        for made in here
    }
    machine = Machine(
        [(works.works[works.items[i]], seconds[made.nodeid]) for i, made in enumerate(here)],
        [Worker(f"gw{i}", host) for i, host in enumerate(hosts)],
        dies={one for one in dies if one < len(here)},
        needs=needs,
    ).run()
    assert machine.ran() == list(range(len(here)))
    spans = machine.spans()
    for one, others in needs.items():
        assert all(spans[other][2] <= spans[one][1] for other in others)
    for one, made in enumerate(here):
        if made.stash[PLANNED].scenario.exclusive and not made.stash[PLANNED].scenario.group:
            for other, second in spans.items():
                if other != one and second[0].host == spans[one][0].host:
                    assert not overlap(spans[one], second)


def test_different_collections_are_reported_and_nothing_runs():
    reports = []

    def keep(report):
        reports.append(report)

    config = SimpleNamespace(hook=SimpleNamespace(pytest_collectreport=keep))
    sched = TrialScheduling(
        config, 2, {}, expected={}, decided=lambda _: False, started=lambda _: False
    )
    workers = [Worker("gw0", "a"), Worker("gw1", "a")]
    for worker, ids in zip(workers, (["a", "b"], ["a", "c"]), strict=True):
        sched.add_node(worker)
        sched.add_node_collection(worker, ids)
    sched.schedule()
    assert [report.outcome for report in reports] == ["failed"]
    assert "+c" in str(reports[0].longrepr)
    assert sched.tests_finished
    assert not any(worker.queue for worker in workers)
