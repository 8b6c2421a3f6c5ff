"""What the controller pays for each item under ``-n 2``, as the number of items grows.

Trials without an agent, so that nothing but the machinery is measured. Peer in the same run: as
many parametrized tests under xdist's own ``--dist load``, without ``--a2perf``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from common import project, report

ROUNDS = 3
FEW, SIZES = 10, (1_000, 10_000)
MANY = 100_000
"""Measured in one round, and only by ``python benchmarks/scale.py --many``: it takes minutes."""

TRIALS = """
import pytest
@pytest.mark.a2perf(seeds={items}, energy={{"source": "none"}})
def test_noop(trial): pass
"""
FUNCTIONS = """
import pytest
@pytest.mark.parametrize("i", range({items}))
def test_noop(i): pass
"""
CONFTEST = """
import json, re, resource, time
from pathlib import Path
import pytest

class Cost:
    def __init__(self, file):
        self.file = file
        self.collected = 0.0

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self):
        self.begun = time.perf_counter()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self):
        self.collected = time.perf_counter() - self.begun

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self):
        own = resource.getrusage(resource.RUSAGE_SELF)
        workers = resource.getrusage(resource.RUSAGE_CHILDREN)
        peak = re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())
        figures = {
            "controller": own.ru_utime + own.ru_stime,
            "workers": workers.ru_utime + workers.ru_stime,
            "peak": int(peak[1]) / 1e3 * 1.024,
            "collection": self.collected,
            "wall": time.perf_counter() - self.begun,
        }
        Path(self.file).write_text(json.dumps(figures))

def pytest_addoption(parser):
    parser.addoption("--cost-file")

def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # the controller alone
        config.pluginmanager.register(Cost(config.getoption("--cost-file")))
"""

Figures = Mapping[str, float]


def cost(folder: Path, kind: str, items: int) -> Figures:
    """Run the items and return what the controller measured."""
    file = folder / "cost.json"
    command = [sys.executable, "-m", "pytest", "-qq", "-n", "2", "-p", "no:cacheprovider"]
    command += ["--cost-file", str(file), f"test_{kind}_{items}.py"]
    command += ["--a2perf"] if kind == "trials" else ["--dist", "load"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, cwd=folder, capture_output=True, env=environment, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout.decode()}{done.stderr.decode()}")
    figures: Figures = json.loads(file.read_text(encoding="utf-8"))
    return figures


def main(sizes: tuple[int, ...] = SIZES) -> list[dict[str, object]]:
    kinds = {"trials": TRIALS, "functions": FUNCTIONS}
    files = {
        f"test_{kind}_{items}.py": text.format(items=items)
        for kind, text in kinds.items()
        for items in (FEW, *sizes)
    }
    folder = project({**files, "conftest.py": CONFTEST, "pytest.ini": "[pytest]\n"})
    runs: dict[tuple[str, int], list[Figures]] = {}
    for round_ in range(ROUNDS):
        for items in (FEW, *sizes):
            for kind in kinds:
                if items < MANY or round_ == 0:
                    runs.setdefault((kind, items), []).append(cost(folder, kind, items))

    def median(kind: str, items: int, figure: str) -> float:
        return statistics.median(run[figure] for run in runs[kind, items])

    def each(kind: str, items: int, figure: str) -> float:
        """From few items, so that imports and the like do not count; µs."""
        gain = median(kind, items, figure) - median(kind, FEW, figure)
        return 1e6 * gain / (items - FEW)

    results = []
    for items in sizes:
        ours, peer = (each(kind, items, "controller") for kind in kinds)
        detail = (
            f"xdist's own {peer:.0f} µs (ratio {ours / peer:.2f}); workers' CPU "
            f"{each('trials', items, 'workers'):.0f} against "
            f"{each('functions', items, 'workers'):.0f} µs an item; controller's peak RSS "
            f"{median('trials', items, 'peak'):.0f} against "
            f"{median('functions', items, 'peak'):.0f} MB; collected after "
            f"{median('trials', items, 'collection'):.1f} against "
            f"{median('functions', items, 'collection'):.1f} s, over after "
            f"{median('trials', items, 'wall'):.1f} against "
            f"{median('functions', items, 'wall'):.1f} s; {len(runs['trials', items])} rounds"
        )
        name = f"controller, {items:,} trials, -n 2"
        results.append(report(name, ours, "µs CPU an item", "none", detail))
    return results


if __name__ == "__main__":
    main((*SIZES, MANY) if "--many" in sys.argv[1:] else SIZES)
