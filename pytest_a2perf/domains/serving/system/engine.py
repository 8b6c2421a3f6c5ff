"""What an inference engine reports of itself over a window: metrics of vLLM and of SGLang."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Self

import numpy as np

from pytest_a2perf.domains.serving.system.scrape import Sample, Scraper
from pytest_a2perf.domains.serving.system.series import Series, together
from pytest_a2perf.errors import InfraError

__all__ = ["EngineMetrics", "bucket_quantile"]

# Of several names the first that is there counts: newer ones stand before those that they replace.
_COUNTERS = {
    "hits": (
        "vllm:prefix_cache_hits_total", "vllm:prefix_cache_hits",
        "vllm:gpu_prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits",
        "sglang:cached_tokens_total",
    ),
    "queries": (
        "vllm:prefix_cache_queries_total", "vllm:prefix_cache_queries",
        "vllm:gpu_prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries",
        "sglang:prompt_tokens_total",
    ),
    "preemptions": (
        "vllm:num_preemptions_total", "vllm:num_preemptions", "sglang:num_retracted_requests_total",
    ),
    "accepted": (
        "vllm:spec_decode_num_accepted_tokens_total", "vllm:spec_decode_num_accepted_tokens",
    ),
    "drafted": ("vllm:spec_decode_num_draft_tokens_total", "vllm:spec_decode_num_draft_tokens"),
    "prompt_tokens": (
        "vllm:prompt_tokens_total", "vllm:prompt_tokens", "sglang:prompt_tokens_total",
    ),
    "output_tokens": (
        "vllm:generation_tokens_total", "vllm:generation_tokens", "sglang:generation_tokens_total",
    ),
}  # fmt: skip
_GAUGES = {
    "waiting": ("vllm:num_requests_waiting", "sglang:num_queue_reqs"),
    "running": ("vllm:num_requests_running", "sglang:num_running_reqs"),
    "kv_usage": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "sglang:token_usage"),
    "hit_rate": ("sglang:cache_hit_rate",),
    "accept_rate": ("sglang:spec_accept_rate",),
}
_QUEUE = ("vllm:request_queue_time_seconds", "sglang:queue_time_seconds")

_COUNTED = frozenset(
    name for names in _COUNTERS.values() for name in names
) | {f"{name}_{part}" for name in _QUEUE for part in ("bucket", "sum", "count")}  # fmt: skip
_NAMES = _COUNTED | {name for names in _GAUGES.values() for name in names}
_RANKS = ("pp_rank", "tp_rank", "moe_ep_rank", "pid")
"""Labels of SGLang's workers, which may all tell the same; other labels tell engines apart."""

_LARGEST_MISS = 0.05  # share of the window that may lie before the first or after the last reading
_LONGEST_MISS = 3.0

_Labels = tuple[tuple[str, str], ...]


class EngineMetrics:
    """Reads the metrics of one or more engines in a thread between ``with`` and its end.

    Args:
        urls: where they are offered; several are summed.
        required: they must answer; else those that do not are left alone.
        interval: seconds between two readings.
        timeout: seconds after which an answer is given up.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        required: bool = False,
        interval: float = 1.0,
        timeout: float = 5.0,
    ) -> None:
        self._required = required
        self._scrapers = [
            Scraper(url, _NAMES, partial(self._take, url), interval, timeout) for url in urls
        ]
        self._running: list[Scraper] = []
        self._series: dict[tuple[str, str, _Labels], Series] = {}
        self._read: dict[str, Series] = {}

    def __enter__(self) -> Self:
        """Begin to read.

        Raises:
            InfraError: an engine does not answer that must.
        """
        for scraper in self._scrapers:
            try:
                scraper.scrape()
            except InfraError as error:
                if self._required:
                    raise InfraError(f"metrics of the engine: {error}") from None
                continue
            if any(url == scraper.url for url, _, _ in self._series):
                self._running.append(scraper)
            elif self._required:
                raise InfraError(
                    f"metrics of the engine: {scraper.url} answers, but has none of vLLM's or "
                    "SGLang's (which needs --enable-metrics)"
                )
        for scraper in self._running:
            scraper.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for scraper in self._running:
            scraper.stop()

    def _take(self, url: str, at: float, samples: Sequence[Sample]) -> None:
        read = self._read.setdefault(url, Series())
        # Workers that tell the same are one series, told by the lowest: it comes first.
        for sample in sorted(samples, key=_rank):
            labels = tuple(sorted(i for i in sample.labels.items() if i[0] not in _RANKS))
            key = (url, sample.name, labels)
            if key not in self._series:
                self._series[key] = Series()
                if len(read) and sample.name in _COUNTED:  # it appears with its first event
                    self._series[key].add(read.last, 0.0)
            self._series[key].add(at, sample.value)
        read.add(at, 0.0)

    def over(self, begin: float, end: float) -> dict[str, float]:
        """Return what is known of the time between two times of the monotonic clock.

        ``cache_hit_rate`` (share of prompt tokens), ``queue_mean`` and ``queue_p95`` (s),
        ``waiting_mean``, ``waiting_max`` and ``running_mean`` (requests), ``kv_usage_max`` (share),
        ``preemptions``, ``accepted_share`` (of predicted tokens), ``prompt_tokens`` and
        ``output_tokens``. What the engine does not tell is left out; nothing is told of a window
        that was not read up to its ends.
        """
        for scraper in self._running:
            scraper.reach(end)
        most = max(_LONGEST_MISS, _LARGEST_MISS * (end - begin))
        read = [self._read[scraper.url] for scraper in self._running]
        if not read or any(one.first > begin + most or one.last < end - most for one in read):
            return {}
        return {
            **self._counted(begin, end),
            **self._gauged(begin, end),
            **self._queued(begin, end),
        }

    def _named(self, names: Sequence[str]) -> list[tuple[_Labels, Series]]:
        """Return the series of the first metric that is there."""
        for wanted in names:
            found = [
                (labels, one) for (_, name, labels), one in list(self._series.items())
                if name == wanted
            ]  # fmt: skip
            if found:
                return found
        return []

    def _grown(self, names: Sequence[str], begin: float, end: float) -> float | None:
        found = self._named(names)
        if not found:
            return None
        return sum(one.increase(begin, end, restarts=True).amount for _, one in found)

    def _counted(self, begin: float, end: float) -> dict[str, float]:
        grown = {name: self._grown(names, begin, end) for name, names in _COUNTERS.items()}
        told = {
            name: value
            for name in ("preemptions", "prompt_tokens", "output_tokens")
            if (value := grown[name]) is not None
        }
        for name, part, whole in (
            ("cache_hit_rate", grown["hits"], grown["queries"]),
            ("accepted_share", grown["accepted"], grown["drafted"]),
        ):
            if part is not None and whole:
                told[name] = part / whole
        return told

    def _gauged(self, begin: float, end: float) -> dict[str, float]:
        found = {name: [one for _, one in self._named(names)] for name, names in _GAUGES.items()}
        told: dict[str, float] = {}
        for name in ("waiting", "running"):
            values = together(found[name], begin, end)
            if len(values):
                told[f"{name}_mean"] = float(values.mean())
                told[f"{name}_max"] = float(values.max())
        told.pop("running_max", None)
        usage = [values for one in found["kv_usage"] if len(values := one.inside(begin, end))]
        if usage:
            told["kv_usage_max"] = float(max(values.max() for values in usage))
        # Older SGLang has these only: of the last batch, and 0 where nothing is predicted.
        if self._named(_COUNTERS["hits"]) == [] and (rates := found["hit_rate"]):
            told |= _mean("cache_hit_rate", rates, begin, end)
        if (rates := found["accept_rate"]) and any(one.inside(begin, end).any() for one in rates):
            told |= _mean("accepted_share", rates, begin, end)
        return told

    def _queued(self, begin: float, end: float) -> dict[str, float]:
        buckets: dict[float, float] = {}
        for labels, one in self._named([f"{name}_bucket" for name in _QUEUE]):
            edge = float(dict(labels)["le"])
            grown = one.increase(begin, end, restarts=True).amount
            buckets[edge] = buckets.get(edge, 0.0) + grown
        count = self._grown([f"{name}_count" for name in _QUEUE], begin, end)
        total = self._grown([f"{name}_sum" for name in _QUEUE], begin, end)
        if not count or total is None:
            return {}
        return {"queue_mean": total / count, "queue_p95": bucket_quantile(buckets, 0.95)}


def _mean(name: str, series: Sequence[Series], begin: float, end: float) -> dict[str, float]:
    values = together(series, begin, end)
    return {name: float(values.mean()) / len(series)} if len(values) else {}


def _rank(sample: Sample) -> tuple[int, ...]:
    ranks = (sample.labels.get(name, "0") for name in _RANKS)
    return tuple(int(rank) if rank.isdigit() else 0 for rank in ranks)


def bucket_quantile(buckets: dict[float, float], share: float) -> float:
    """Return a quantile of a Prometheus histogram, interpolated inside the bucket that holds it.

    Args:
        buckets: observations up to and including each edge; the last edge is infinite.
        share: 0.95 for the 95th percentile. In the last bucket, its lower edge is returned.
    """
    edges = np.array(sorted(buckets))
    counts = np.maximum.accumulate([buckets[edge] for edge in edges])
    if not len(edges) or counts[-1] <= 0:
        return float("nan")
    wanted = share * float(counts[-1])
    index = int(np.searchsorted(counts, wanted))
    low = float(edges[index - 1]) if index else min(0.0, float(edges[0]))
    if not np.isfinite(edges[index]):
        return low
    below = float(counts[index - 1]) if index else 0.0
    part = (wanted - below) / (float(counts[index]) - below)
    return float(low + part * (float(edges[index]) - low))
