"""A real HTTP server that plays exporters and inference engines: it offers metrics as texts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

VLLM_LABELS = ("model_name", "engine")
QUEUE_BUCKETS = (0.1, 0.2, 0.5, 1.0, 5.0)


class Exporter:
    """Offers ``text()`` under every path; ``mode`` makes it misbehave."""

    def __init__(self, text: Callable[[], str] | str = "") -> None:
        self.text = text
        self.mode = "works"  # or: fails, html, cuts, trickles, redirects
        self.elsewhere = ""  # where it redirects to
        self.asked: list[str] = []
        self._stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/metrics"

    def __enter__(self) -> Self:
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                exporter.asked.append(self.path)
                exporter._answer(self)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = (self.text if isinstance(self.text, str) else self.text()).encode()
        if self.mode == "html":
            body = b"dcgm{ <html>not metrics</html>"
        status = {"fails": 500, "redirects": 302}.get(self.mode, 200)
        handler.send_response(status)
        handler.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        handler.send_header("Content-Length", str(len(body) + (self.mode == "cuts")))
        if self.mode == "redirects":
            handler.send_header("Location", self.elsewhere)
        handler.end_headers()
        if self.mode == "trickles":
            while not self._stopped.wait(0.02):
                try:
                    handler.wfile.write(b"#")
                except OSError:
                    return
        handler.wfile.write(body)


def gpu(number: int, watts: float = 300.0, **values: float) -> dict[str, Any]:
    """Describe a GPU for `dcgm`; its counter runs in real time unless ``joules`` is given."""
    return {"number": number, "watts": watts, "clock": 1980.0, "reasons": 0, **values}


def dcgm(*gpus: dict[str, Any], host: str = "node-a", instances: int = 1) -> str:
    """Return what NVIDIA's DCGM exporter says, once for each pod that shares a GPU."""
    lines = []
    for name, kind, value in (
        ("DCGM_FI_DEV_SM_CLOCK", "gauge", lambda one: one["clock"]),
        ("DCGM_FI_DEV_GPU_TEMP", "gauge", lambda one: 48),
        ("DCGM_FI_DEV_POWER_USAGE", "gauge", lambda one: one["watts"]),
        (
            "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
            "counter",
            lambda one: 1e3 * one.get("joules", one["watts"] * time.monotonic()),
        ),
        ("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "gauge", lambda one: one["reasons"]),
    ):
        lines += [f'# HELP {name} Text with {{braces}} and "quotes".', f"# TYPE {name} {kind}"]
        for one in gpus:
            number = one["number"]
            labels = f'gpu="{number}",UUID="GPU-{host}-{number}",device="nvidia{number}"'
            labels += f',modelName="NVIDIA H100 80GB HBM3",Hostname="{host}"'
            lines += [
                f'{name}{{{labels},pod="pod-{pod}"}} {value(one):.6f}' for pod in range(instances)
            ]
    return "\n".join(lines) + "\n"


class Vllm:
    """Metrics of vLLM, made by the same library."""

    def __init__(self, engines: int = 1) -> None:
        self.registry = CollectorRegistry()
        self._labels = [("llama", str(number)) for number in range(engines)]
        self.waiting = self._make(Gauge, "num_requests_waiting")
        self.running = self._make(Gauge, "num_requests_running")
        self.usage = self._make(Gauge, "kv_cache_usage_perc")
        self.queries = self._make(Counter, "prefix_cache_queries")
        self.hits = self._make(Counter, "prefix_cache_hits")
        self.old_hits = self._make(Counter, "gpu_prefix_cache_hits")
        self.preemptions = self._make(Counter, "num_preemptions")
        self.prompt = self._make(Counter, "prompt_tokens")
        self.output = self._make(Counter, "generation_tokens")
        self.drafted = self._make(Counter, "spec_decode_num_draft_tokens")
        self.accepted = self._make(Counter, "spec_decode_num_accepted_tokens")
        self.by_place = self._make(Counter, "spec_decode_num_accepted_tokens_per_pos")
        self.queue = self._make(Histogram, "request_queue_time_seconds", buckets=QUEUE_BUCKETS)

    def _make(self, kind: Any, name: str, **options: Any) -> list[Any]:
        metric = kind(f"vllm:{name}", name, VLLM_LABELS, registry=self.registry, **options)
        return [metric.labels(*labels) for labels in self._labels]

    def text(self) -> str:
        return generate_latest(self.registry).decode()


class Sglang:
    """Metrics of SGLang, made by the same library; ``ranks`` workers tell the same."""

    def __init__(self, ranks: int = 1, *, old: bool = False) -> None:
        self.registry = CollectorRegistry()
        self._ranks = ranks
        names = ("num_queue_reqs", "num_running_reqs", "token_usage", "cache_hit_rate",
                 "spec_accept_rate")  # fmt: skip
        self.gauges = {name: self._make(Gauge, name) for name in names}
        self.retracted = self._make(Counter, "num_retracted_requests_total")
        self.queue = self._make(Histogram, "queue_time_seconds", buckets=QUEUE_BUCKETS)
        self.prompt = self._make(Counter, "prompt_tokens_total", ranked=False)
        self.output = self._make(Counter, "generation_tokens_total", ranked=False)
        self.cached = None if old else self._make(Counter, "cached_tokens_total", ranked=False)

    def _make(self, kind: Any, name: str, *, ranked: bool = True, **options: Any) -> list[Any]:
        labels = ("model_name", "tp_rank") if ranked else ("model_name",)
        metric = kind(f"sglang:{name}", name, labels, registry=self.registry, **options)
        ranks = range(self._ranks) if ranked else range(1)
        return [metric.labels("llama", *([str(rank)] if ranked else [])) for rank in ranks]

    def text(self) -> str:
        return generate_latest(self.registry).decode()
