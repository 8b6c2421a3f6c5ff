"""Everything that a project can add to pytest-a2perf, by hooks."""

from assistants import make_rules
from extras import PageFaults, WordsFamily
from tickets import TicketDomain

from pytest_a2perf.metrics.pooled import PooledFamily, quantity
from pytest_a2perf.runs.store import read_records


def pytest_a2perf_domains():
    return [TicketDomain()]


def pytest_a2perf_agents():
    return {"rules": make_rules}  # scenarios write agent = "rules:FILE"


def pytest_a2perf_meters():
    return [PageFaults]


def pytest_a2perf_metrics():
    # Statistics of what the meter reads: page_faults.mean, page_faults.p95, ...
    faults = PooledFamily(
        "page_faults", "", "lower", "system", "page faults of a trial", quantity("page_faults"),
        bare="mean", shown=("",),
    )  # fmt: skip
    return [faults, WordsFamily()]


def pytest_a2perf_publish(config, run):
    """Write what a chat room or a dashboard wants to know."""
    lines = [f"{record.nodeid}: {record.outcome}" for record in read_records(run)]
    (config.rootpath / "summary.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
