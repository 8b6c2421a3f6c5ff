"""Hypothesis strategies for property tests of agents, metrics, meters, domains and publish hooks.

The plugin never imports this package: import it in the tests that use it.

* An agent: `observations` and `actions` of an environment or a space; `spaces` for agents that
  promise to cope with any.
* A metric: `record_lists`, the records of one scenario's trials, as `Metric.estimate` gets them.
* A meter, or what reads one: `quantities` and `readings`; `pytest_a2perf.meters.base.ReplayMeter`
  gives out what was drawn.
* A domain: `scenarios` for its ``check``, `trials` for its ``run``; no pytest needed.
* A publish hook: `record_lists`, written into a folder by `pytest_a2perf.runs.store.RunStore`.

Everything drawn is valid: it could stand in a scenario file, a record or an environment. Where
strategies take keyword arguments for fields, an argument replaces what is drawn for that field::

    tokens = st.fixed_dictionaries({"tokens": quantities("", st.integers(0, 10_000))})


    @given(record_lists(reported=tokens))
    def test_my_metric(records): ...
"""

from __future__ import annotations

from pytest_a2perf.strategies.records import (
    curves,
    episodes,
    histograms,
    quantities,
    readings,
    record_lists,
    records,
)
from pytest_a2perf.strategies.scenarios import gates, scenario_tables, scenarios, trials
from pytest_a2perf.strategies.spaces import actions, observations, spaces

__all__ = [
    "actions", "curves", "episodes", "gates", "histograms", "observations", "quantities",
    "readings", "record_lists", "records", "scenario_tables", "scenarios", "spaces", "trials",
]  # fmt: skip
