"""The system under test: what is said of it, and what agents, joules and dollars are divided by."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pytest_a2perf.domains.serving.slo.search import Capacity
from pytest_a2perf.domains.serving.system.normalise import (
    COSTS,
    FIGURES,
    costs_of,
    divisors_of,
    normalised_table,
)
from pytest_a2perf.domains.serving.system.options import (
    DISCLOSED,
    SystemOptions,
    disclosure,
    missing_disclosure,
)
from pytest_a2perf.domains.serving.system.power import PowerReading
from pytest_a2perf.domains.serving.system.sources import metrics_url, power_source

SAID = {
    "accelerator": "H100 SXM 80 GB",
    "accelerators": 8,
    "engine": "vLLM",
    "engine_version": "0.11.0",
    "parallelism": "TP8",
    "driver": "550.54.15",
    "model": "gpt-oss-120b",
    "quantisation": "MXFP4",
}


def said(**options):
    return SystemOptions.model_validate({**SAID, **options})


def reading(watts, **values):
    return PowerReading(
        watts, watts * 600, "nvml-energy-counter", "measured", "accelerator board", **values
    )


def agents_per(figure, agents, options, power=None):
    return agents / divisors_of(options, power).per[figure]["divisor"]


# What may be said.


def test_everything_that_may_be_said():
    options = said(
        name="rack 7", systems=2, systems_per_rack=4, price="2.49 USD", price_per="accelerator",
        price_source="list price", price_date="2026-08-01", notes="quiet room",
        model_revision="main", settings={"max_num_seqs": 256}, metrics="http://node:8000/metrics",
        power={"source": "declared", "watts": "5.6 kW", "boundary": "node"},
    )  # fmt: skip
    assert (options.price, options.currency) == (2.49, "USD")
    assert options.power.watts == 5600
    assert options.metrics == ("http://node:8000/metrics",)
    told = json.loads(json.dumps(disclosure(options)))
    assert told["settings"] == {"max_num_seqs": 256}
    assert told["power"] == {"source": "declared", "watts": 5600.0, "boundary": "node"}


@pytest.mark.parametrize(
    ("price", "number", "currency"),
    [(2, 2, "USD"), ("2.5", 2.5, "USD"), ("2.5 $", 2.5, "USD"), ("1_000 EUR", 1000, "EUR")],
)
def test_prices(price, number, currency):
    options = said(price=price)
    assert (options.price, options.currency) == (number, currency)


def test_editors_allow_prices_and_powers_with_units():
    schema = SystemOptions.model_json_schema()
    kinds = {one["type"] for one in schema["properties"]["price"]["anyOf"]}
    assert {"string", "number"} <= kinds
    watts = schema["$defs"]["DeclaredPowerOptions"]["properties"]["watts"]
    assert {"string", "number"} <= {one["type"] for one in watts["anyOf"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"price": "cheap"}, "expected something like '2.49 USD', got 'cheap'"),
        ({"price": "2 EUR", "currency": "USD"}, "price is in EUR, but currency says USD"),
        ({"price": 0}, "greater than 0"),
        ({"accelerators": 0}, "greater than or equal to 1"),
        ({"systems_per_rack": 2, "accelerators_per_rack": 16}, "say either"),
        ({"metrics": "node:8000"}, "expected an address like"),
        ({"metrics": "http://me:secret@node/metrics"}, "must not hold a name or a password"),
        ({"power": {"source": "guess"}}, "does not match any of the expected tags"),
        ({"power": {"source": "declared", "watts": "5 kg", "boundary": "node"}}, "unknown unit"),
        ({"power": {"source": "declared", "watts": "5 kW"}}, "boundary"),
        ({"power": {"source": "nvml", "devices": [-1]}}, "greater than or equal to 0"),
        ({"power": {"source": "prometheus", "url": []}}, "at least 1 item"),
        ({"power": {"source": "prometheus", "url": "http://n/"}}, "say either preset or metric"),
        (
            {"power": {"source": "prometheus", "url": "http://n/", "metric": "pdu_watts"}},
            "say boundary",
        ),
        (
            {"power": {"source": "prometheus", "url": "http://n/", "preset": "node-exporter"}},
            "say boundary",
        ),
        (
            {
                "power": {
                    "source": "prometheus", "url": "http://n/", "metric": "m", "unit": "s",
                    "boundary": "node",
                }
            },
            "expected a unit of power or energy",
        ),
        ({"wattage": 1}, "Extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_what_may_not_be_said(options, message):
    with pytest.raises(ValidationError, match=message):
        said(**options)


@pytest.mark.parametrize("name", DISCLOSED)
def test_without_the_full_configuration_there_is_no_figure(name):
    options = SystemOptions.model_validate({k: v for k, v in SAID.items() if k != name})
    assert missing_disclosure(options) == [name]
    divisors = divisors_of(options, reading(1000))
    assert divisors.per == {}
    assert divisors.missing == dict.fromkeys(FIGURES, f"[system] does not say {name}")
    costs = costs_of(options, reading(1000), output_tokens=10, turns=1, seconds=1)
    assert costs.costs == {}
    assert costs.missing == dict.fromkeys(COSTS, f"[system] does not say {name}")


def test_without_a_system_there_is_no_figure():
    assert missing_disclosure(SystemOptions()) == list(DISCLOSED)
    assert set(divisors_of(None, reading(1000)).missing) == set(FIGURES)
    assert "add a [system] table" in divisors_of(None, None).missing["mw"]
    costs = costs_of(None, None, output_tokens=10, turns=1, seconds=1)
    assert set(costs.missing) == set(COSTS)


# What agents are divided by; the numbers are published or made by hand.


def test_a_published_rack():
    """GB300 NVL72: 57.5 agents per GPU and 61,354 agents per MW, so 937 W for each GPU."""
    options = said(accelerators=72, systems=18, accelerators_per_rack=72)
    power = reading(72 * 937.184)
    assert agents_per("accelerator", 4140, options) == pytest.approx(57.5)
    assert agents_per("system", 4140, options) == pytest.approx(230)
    assert agents_per("rack", 4140, options) == pytest.approx(4140)
    assert agents_per("mw", 4140, options, power) == pytest.approx(61_354, rel=1e-5)
    assert agents_per("kw", 4140, options, power) == pytest.approx(61.354, rel=1e-5)
    assert divisors_of(options, power).per["rack"]["quality"] == "measured"


def test_a_published_card():
    """H200: 1.4 agents per GPU and 2,594 per MW, so 540 W for each GPU."""
    assert agents_per("mw", 11.2, said(), reading(8 * 539.707)) == pytest.approx(2594, rel=1e-5)


def test_a_rack_that_was_not_tested_is_a_model():
    rack = divisors_of(said(systems=1, systems_per_rack=9), None).per["rack"]
    assert 40 / rack["divisor"] == pytest.approx(360)  # 5 for each of 8 accelerators, of 72
    assert rack["quality"] == "modelled"
    assert rack["note"] == "scaled up from 8 to 72 accelerators"
    two = divisors_of(said(accelerators=144, systems=36, accelerators_per_rack=72), None)
    assert 100 / two.per["rack"]["divisor"] == pytest.approx(50)
    assert two.per["rack"]["quality"] == "measured"


@pytest.mark.parametrize(("per", "dollars"), [("accelerator", 19.92), ("system", 4.98)])
def test_dollars_for_an_hour(per, dollars):
    options = said(price="2.49 USD", price_per=per, systems=2, price_source="list price")
    entry = divisors_of(options, None).per["dollar_hour"]
    assert entry == {
        "divisor": pytest.approx(dollars), "source": "declared", "quality": "measured",
        "note": f"2.49 USD per {per} and hour, list price",
    }  # fmt: skip


def test_power_carries_its_boundary_and_quality():
    power = reading(5600, note="power stood still")
    assert divisors_of(said(), power).per["kw"] == {
        "divisor": 5.6, "source": "nvml-energy-counter", "quality": "measured",
        "note": "boundary: accelerator board; power stood still",
    }  # fmt: skip
    options = said(power={"source": "declared", "watts": "5.6 kW", "boundary": "node"})
    with power_source(options) as source:
        declared = source.over(100.0, 110.0)
    assert (declared.watts, declared.joules, declared.valid) == (5600, 56_000, True)
    assert divisors_of(options, declared).per["mw"]["quality"] == "modelled"
    assert declared.to_json() == {
        "watts": 5600.0, "joules": 56_000.0, "source": "declared", "quality": "modelled",
        "boundary": "node", "coverage": 1.0, "note": "declared, not measured",
    }  # fmt: skip


def test_each_figure_says_why_it_is_missing():
    missing = divisors_of(said(price="2 EUR"), reading(math.nan, why_not="no readings")).missing
    assert missing == {
        "kw": "no readings",
        "mw": "no readings",
        "dollar_hour": "the price is in EUR: give it in USD, with its date",
        "rack": "[system] says neither accelerators_per_rack nor systems_per_rack",
    }
    assert divisors_of(said(), None).missing["kw"] == "power is not read: add power to [system]"
    assert power_source(said()) is None
    assert power_source(None) is None


def test_energy_and_money_for_tokens():
    """5,600 W over 600 s for 3e6 tokens; 18e6 tokens an hour at 19.92 dollars."""
    options = said(price=2.49)
    costs = costs_of(options, reading(5600), output_tokens=3e6, turns=15_000, seconds=600).costs
    values = {name: (entry["value"], entry["unit"]) for name, entry in costs.items()}
    assert values == {
        "energy_per_output_token": (pytest.approx(1.12), "J"),
        "energy_per_turn": (pytest.approx(224), "J"),
        "output_tokens_per_joule": (pytest.approx(1 / 1.12), "tok/J"),
        "cost_per_million_output_tokens": (pytest.approx(1.1066667), "USD"),
    }
    assert costs["energy_per_turn"]["note"] == "boundary: accelerator board"
    assert costs["cost_per_million_output_tokens"]["source"] == "declared"


def test_costs_that_cannot_be_told():
    nothing = costs_of(said(), None, output_tokens=0, turns=0, seconds=600)
    assert nothing.costs == {}
    assert nothing.missing["cost_per_million_output_tokens"] == "[system] does not say price"
    idle = costs_of(said(price=1), reading(100), output_tokens=0, turns=3, seconds=600)
    assert set(idle.costs) == {"energy_per_turn"}
    assert "no output tokens" in idle.missing["cost_per_million_output_tokens"]


def test_a_table_with_brackets():
    capacities = {"tier1": Capacity(40, 36, 44), "tier2": Capacity(8, 8), "tier3": Capacity(0, 0)}
    per = {"tier1": divisors_of(said(), reading(4000)).per, "tier2": divisors_of(said(), None).per}
    table = {(row.tier, row.figure): row for row in normalised_table(capacities, per)}
    kilowatt = table["tier1", "kw"]
    assert (kilowatt.value, kilowatt.low, kilowatt.high) == (10, 9, 11)
    assert kilowatt.note == "boundary: accelerator board"
    assert table["tier2", "accelerator"].value == 1
    assert table["tier2", "accelerator"].high == math.inf
    assert ("tier2", "kw") not in table
    assert not any(tier == "tier3" for tier, _ in table)


@given(
    count=st.integers(1, 1000),
    systems=st.integers(1, 100),
    watts=st.floats(1, 1e7),
    agents=st.integers(0, 10**6),
)
def test_figures_agree_with_one_another(count, systems, watts, agents):
    options = said(accelerators=count, systems=systems, accelerators_per_rack=8, price=1)
    power = reading(watts)
    assert agents_per("mw", agents, options, power) == pytest.approx(
        1000 * agents_per("kw", agents, options, power)
    )
    assert agents_per("rack", agents, options) == pytest.approx(
        8 * agents_per("accelerator", agents, options)
    )
    assert agents_per("dollar_hour", agents, options) == pytest.approx(
        agents_per("accelerator", agents, options)
    )


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/metrics"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/metrics"),
        ("https://host", "https://host/metrics"),
        ("http://host/llm/v1?x=1", "http://host/llm/metrics"),
        ("http://me:secret@host:1/v1", "http://host:1/metrics"),
        ("", ""),
        ("litellm:openai/gpt", ""),
    ],
)
def test_where_metrics_are_looked_for(endpoint, url):
    assert metrics_url(endpoint) == url
