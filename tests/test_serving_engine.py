"""What engines report of themselves, by metrics that the library they use has made."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_exporters import QUEUE_BUCKETS, Exporter, Sglang, Vllm

from pytest_a2perf.domains.serving.system.engine import EngineMetrics, bucket_quantile
from pytest_a2perf.domains.serving.system.options import SystemOptions
from pytest_a2perf.domains.serving.system.sources import engine_metrics
from pytest_a2perf.errors import InfraError


def observed(*exporters, change=lambda: None, timeout=60.0, **options):
    """Return what is told of a window in which this changed, and no more.

    Nothing is read but at its ends, so that time does not matter.
    """
    urls = [exporter.url for exporter in exporters]
    begin = time.monotonic()
    with EngineMetrics(urls, interval=60, timeout=timeout, **options) as engine:
        change()
        engine.over(begin, time.monotonic())  # reads once more
        return engine.over(begin, time.monotonic())


def count(children, *amounts):
    for child, amount in zip(children, amounts, strict=True):
        child.inc(amount)


def test_vllm_with_two_engines():
    vllm = Vllm(engines=2)
    count(vllm.queries, 1e6, 1e6)
    count(vllm.hits, 10, 10)
    count(vllm.waiting, 0, 0)

    def change():
        count(vllm.queries, 1000, 3000)
        count(vllm.hits, 900, 2100)
        count(vllm.old_hits, 1, 1)
        count(vllm.prompt, 4000, 6000)
        count(vllm.output, 70, 30)
        count(vllm.preemptions, 2, 1)
        count(vllm.drafted, 100, 100)
        count(vllm.accepted, 70, 50)
        count(vllm.by_place, 70, 50)  # says the same once more
        count(vllm.waiting, 3, 5)
        count(vllm.running, 30, 10)
        count(vllm.usage, 0.5, 0.9)
        for child, seconds in zip(vllm.queue, (0.15, 0.3), strict=True):
            for _ in range(50):
                child.observe(seconds)

    with Exporter(vllm.text) as exporter:
        told = observed(exporter, change=change)
    assert told == {
        "cache_hit_rate": pytest.approx(0.75),
        "prompt_tokens": pytest.approx(10_000),
        "output_tokens": pytest.approx(100),
        "preemptions": pytest.approx(3),
        "accepted_share": pytest.approx(0.6),
        "waiting_mean": 4,  # of a reading before and one after
        "waiting_max": 8,
        "running_mean": 20,
        "kv_usage_max": 0.9,
        "queue_mean": pytest.approx(0.225),
        "queue_p95": pytest.approx(0.2 + 0.3 * 0.9),  # 45 of the 50 up to 0.5
    }


def test_sglang_whose_workers_all_tell_the_same():
    sglang = Sglang(ranks=4)
    for rank in range(4):
        sglang.gauges["num_queue_reqs"][rank].set(7)
        sglang.gauges["cache_hit_rate"][rank].set(0.1)  # of the last batch only

    def change():
        count(sglang.prompt, 1000)
        count(sglang.cached, 800)
        count(sglang.output, 50)
        for rank in range(4):
            sglang.retracted[rank].inc(2)
            sglang.gauges["token_usage"][rank].set(0.3)
            sglang.gauges["num_running_reqs"][rank].set(9)
            sglang.queue[rank].observe(0.05)

    with Exporter(sglang.text) as exporter:
        told = observed(exporter, change=change)
    assert told == {
        "cache_hit_rate": pytest.approx(0.8),
        "prompt_tokens": pytest.approx(1000),
        "output_tokens": pytest.approx(50),
        "preemptions": pytest.approx(2),
        "waiting_mean": 7,
        "waiting_max": 7,
        "running_mean": 4.5,
        "kv_usage_max": 0.3,
        "queue_mean": pytest.approx(0.05),
        "queue_p95": pytest.approx(0.095),
    }


def test_an_older_sglang_tells_rates_only():
    sglang = Sglang(ranks=2, old=True)
    for rank in range(2):
        sglang.gauges["cache_hit_rate"][rank].set(0.6)
        sglang.gauges["spec_accept_rate"][rank].set(0.4)
    with Exporter(sglang.text) as exporter:
        told = observed(exporter)
    assert (told["cache_hit_rate"], told["accepted_share"]) == (0.6, 0.4)


def test_counters_that_begin_again_or_appear_late():
    texts = iter(
        [
            "vllm:generation_tokens_total 1000\n",
            "vllm:generation_tokens_total 1200\n",
            "vllm:generation_tokens_total 50\nvllm:preempted 1\nvllm:num_preemptions_total 4\n",
            "vllm:generation_tokens_total 60\nvllm:num_preemptions_total 4\n",
        ]
    )
    with Exporter(lambda: next(texts)) as exporter:
        begin = time.monotonic()
        with EngineMetrics([exporter.url], interval=60, timeout=60) as engine:
            for _ in range(3):
                told = engine.over(begin, time.monotonic())
            told = engine.over(begin, engine._scrapers[0].last)
    assert told == {
        "output_tokens": pytest.approx(260), "preemptions": pytest.approx(4),
    }  # fmt: skip


def test_several_replicas_are_added_up():
    a, b = Vllm(), Vllm()
    for vllm, waiting in ((a, 4), (b, 6)):
        vllm.waiting[0].set(waiting)

    def change():
        count(a.output, 10)
        count(b.output, 20)

    with Exporter(a.text) as first, Exporter(b.text) as second:
        told = observed(first, second, change=change)
    assert (told["output_tokens"], told["waiting_max"]) == (pytest.approx(30), 10)


@pytest.mark.parametrize("text", ["", "process_cpu_seconds_total 3\n", "<html></html>"])
def test_an_unknown_server_tells_nothing(text):
    with Exporter(text) as exporter:
        assert observed(exporter) == {}
        assert len(exporter.asked) == 1  # and is left alone
        engine = EngineMetrics([exporter.url], required=True, timeout=60)
        with pytest.raises(InfraError, match=r"has none of vLLM's or SGLang's"):
            engine.__enter__()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fails", "trickles", "redirects"])
def test_an_endpoint_without_metrics_tells_nothing(mode):
    with Exporter(Vllm().text) as exporter:
        exporter.mode = mode
        timeout = 0.5 if mode == "trickles" else 60
        assert observed(exporter, timeout=timeout) == {}
        assert exporter.asked == ["/metrics"]
        engine = EngineMetrics([exporter.url], required=True, timeout=timeout)
        with pytest.raises(InfraError, match=r"metrics of the engine: http://127"):
            engine.__enter__()


def test_nothing_is_told_of_a_window_that_was_not_read():
    vllm = Vllm()
    with (
        Exporter(vllm.text) as exporter,
        EngineMetrics([exporter.url], interval=60, timeout=60) as engine,
    ):
        now = time.monotonic()
        assert engine.over(now - 100, now) == {}
        exporter.mode = "fails"
        assert engine.over(now, now + 100) == {}


def test_metrics_are_read_in_between():
    vllm = Vllm()
    with (
        Exporter(vllm.text) as exporter,
        EngineMetrics([exporter.url], interval=0.02, timeout=60) as engine,
    ):
        begin = time.monotonic()
        vllm.waiting[0].set(50)
        while len(exporter.asked) < 5:
            time.sleep(0.01)
        vllm.waiting[0].set(0)
        assert engine.over(begin, time.monotonic())["waiting_max"] == 50


def test_where_an_engine_is_looked_for():
    with Exporter(Vllm().text) as beside, Exporter(Vllm().text) as named:
        endpoint = beside.url.replace("/metrics", "/v1")
        with engine_metrics(None, endpoint):
            assert beside.asked == ["/metrics"]
        with engine_metrics(SystemOptions(metrics=named.url), endpoint):
            assert named.asked == ["/metrics"]
        assert beside.asked == ["/metrics"]
    with engine_metrics(SystemOptions(), "") as nowhere:
        assert nowhere.over(0, 1) == {}


@given(
    st.lists(st.floats(0, 6), min_size=1, max_size=50),
    st.sampled_from([0.05, 0.5, 0.95, 1.0]),
)
def test_a_quantile_lies_in_the_bucket_that_holds_it(seconds, share):
    edges = (*QUEUE_BUCKETS, math.inf)
    buckets = {edge: float(sum(one <= edge for one in seconds)) for edge in edges}
    quantile = bucket_quantile(buckets, share)
    exact = sorted(seconds)[max(0, -(-int(share * 100) * len(seconds) // 100) - 1)]
    high = next(edge for edge in edges if exact <= edge)
    low = max((edge for edge in edges if edge < high), default=0.0)
    assert low <= quantile <= min(high, QUEUE_BUCKETS[-1])


def test_a_histogram_without_observations_has_no_quantile():
    assert math.isnan(bucket_quantile({0.1: 0, math.inf: 0}, 0.95))
    assert math.isnan(bucket_quantile({}, 0.95))
