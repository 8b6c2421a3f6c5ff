"""Logs of runs, made without a world, for tests of what judges them."""

from __future__ import annotations

import copy

from assistant_traces import START

from pytest_a2perf.domains.assistant.trace.graph import EventGraph
from pytest_a2perf.domains.assistant.trace.values import decode, resolve
from pytest_a2perf.domains.assistant.world.happening import Happening


def planned(trace):
    """Return the log of an oracle that makes each call at its time; no app is asked."""
    classes = {one.name: one.class_name for one in trace.apps}
    graph, log, results = EventGraph(trace), [], {}
    times = graph.times(START)
    for event_id in sorted(graph.order(), key=times.__getitem__):
        event = graph.events[event_id]
        given_ = {arg.name: decode(arg.value, arg.value_type) for arg in event.action.args}
        results[event_id] = f"result of {event_id}"
        log.append(
            Happening(
                id=event_id,
                kind=event.event_type,
                time=times[event_id],
                app=event.action.app,
                app_class=classes[event.action.app],
                function=event.action.function,
                write=True,
                arguments={name: resolve(value, results) for name, value in given_.items()},
                result=results[event_id],
            )
        )
    return log


def played(log):
    """Return the log of an agent that does just what an oracle did; its calls have other ids."""
    log = copy.deepcopy(log)
    for number, one in enumerate(log):
        if one.kind == "AGENT":
            one.id = f"call-{number}"
    return log
