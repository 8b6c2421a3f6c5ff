"""The counters that the server gives at /metrics, by vLLM's names."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from itertools import accumulate

from pytest_a2perf.domains.serving.server.cache import PrefixCache
from pytest_a2perf.domains.serving.server.generation import Generation

__all__ = ["Metrics"]

_COUNTERS = (
    "prompt_tokens",
    "generation_tokens",
    "spec_decode_num_drafts",
    "spec_decode_num_draft_tokens",
    "spec_decode_num_accepted_tokens",
)
_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """What happened so far."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(_COUNTERS, 0)
        self._finished: Counter[str] = Counter()
        self._waits = [0] * (len(_BOUNDS) + 1)
        self._waited = 0.0

    def admitted(self, one: Generation) -> None:
        """Count a request that goes into service."""
        waited = one.admitted - one.received
        bucket = next((i for i, most in enumerate(_BOUNDS) if waited <= most), len(_BOUNDS))
        self._waits[bucket] += 1
        self._waited += waited
        self._counts["prompt_tokens"] += one.ask.prompt_tokens

    def ended(self, one: Generation) -> None:
        """Count a request that has gone out of service."""
        usage = one.usage()
        self._counts["generation_tokens"] += one.sent
        self._counts["spec_decode_num_drafts"] += one.drafts
        self._counts["spec_decode_num_draft_tokens"] += usage.accepted + usage.rejected
        self._counts["spec_decode_num_accepted_tokens"] += usage.accepted
        self._finished["abort" if one.lost or one.course.fault else one.course.finish] += 1

    def text(
        self, model: str, running: Collection[Generation], waiting: int, cache: PrefixCache
    ) -> str:
        """Return Prometheus' text form.

        Args:
            model: its name, a label of every line.
            running: requests in service.
            waiting: requests that are queued.
            cache: of prefixes.
        """
        label = f"model_name={json.dumps(model)}"
        lines = []
        gauges = {
            "num_requests_running": len(running),
            "num_requests_waiting": waiting,
            "kv_cache_usage_perc": cache.usage,
        }
        for name, gauge in gauges.items():
            lines += [f"# TYPE vllm:{name} gauge", f"vllm:{name}{{{label}}} {gauge}"]
        counters = {
            "prefix_cache_queries": cache.queries,
            "prefix_cache_hits": cache.hits,
            **self._counts,
        }
        counters["generation_tokens"] += sum(one.sent for one in running)
        for name, count in counters.items():
            lines += [f"# TYPE vllm:{name} counter", f"vllm:{name}_total{{{label}}} {count}"]
        lines.append("# TYPE vllm:request_success counter")
        lines += [
            f'vllm:request_success_total{{finished_reason="{reason}",{label}}} {count}'
            for reason, count in sorted(self._finished.items())
        ]
        name = "vllm:request_queue_time_seconds"
        lines.append(f"# TYPE {name} histogram")
        lines += [
            f'{name}_bucket{{le="{bound}",{label}}} {count}'
            for bound, count in zip([*_BOUNDS, "+Inf"], accumulate(self._waits), strict=True)
        ]
        lines.append(f"{name}_sum{{{label}}} {self._waited}")
        lines.append(f"{name}_count{{{label}}} {sum(self._waits)}")
        return "\n".join(lines) + "\n"
