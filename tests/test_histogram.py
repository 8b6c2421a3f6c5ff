"""Histograms: error bound, exact parts, merging and storage."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_a2perf.runs.histogram import RELATIVE_ERROR, Histogram

quick = settings(deadline=None, max_examples=60)

values = st.one_of(st.just(0.0), st.floats(1e-11, 1e9))
samples = st.lists(values, min_size=1, max_size=200)


@quick
@given(samples, st.floats(0, 1))
def test_quantiles_are_within_the_relative_error(sample, q):
    exact = float(np.quantile(sample, q, method="lower"))
    bound = RELATIVE_ERROR * exact * (1 + 1e-6) + 1e-12
    assert abs(Histogram.of(sample).quantile(q) - exact) <= bound


@quick
@given(samples)
def test_what_is_exact(sample):
    histogram = Histogram.of(sample, limit=1.0)
    assert histogram.count == len(sample)
    assert histogram.mean == pytest.approx(np.mean(sample))
    assert (histogram.minimum, histogram.maximum) == (min(sample), max(sample))
    assert histogram.over_limit == sum(value > 1.0 for value in sample)
    assert sum(histogram.counts.values()) == len(sample)


@quick
@given(st.lists(st.floats(0.5, 2), min_size=2, max_size=200))
def test_the_deviation_is_exact(sample):
    assert Histogram.of(sample).std == pytest.approx(np.std(sample), abs=1e-7)


@quick
@given(st.lists(samples, min_size=1, max_size=5))
def test_merging_is_the_histogram_of_all(parts):
    merged = Histogram.merge(Histogram.of(part, limit=1.0) for part in parts)
    whole = Histogram.of(np.concatenate(parts), limit=1.0)
    assert merged.counts == whole.counts
    assert (merged.count, merged.over_limit) == (whole.count, whole.over_limit)
    assert (merged.minimum, merged.maximum) == (whole.minimum, whole.maximum)
    assert merged.total == pytest.approx(whole.total)
    assert merged.total_square == pytest.approx(whole.total_square)


@quick
@given(samples)
def test_storage_loses_nothing(sample):
    histogram = Histogram.of(sample, unit="J", limit=2.0)
    assert Histogram.from_json(json.loads(json.dumps(histogram.to_json()))) == histogram


def test_empty():
    histogram = Histogram.of([])
    assert math.isnan(histogram.quantile(0.5))
    assert math.isnan(histogram.mean)
    assert math.isnan(histogram.std)
    assert Histogram.from_json(histogram.to_json()) == histogram


@pytest.mark.parametrize("bad", [[-1.0], [math.nan], [math.inf]])
def test_what_is_refused(bad):
    with pytest.raises(ValueError, match="finite and not negative"):
        Histogram.of(bad)


def test_ten_thousand_latencies_stay_small():
    rng = np.random.default_rng(0)
    text = json.dumps(Histogram.of(rng.lognormal(-7, 0.5, 10_000)).to_json())
    assert len(text) < 4000
