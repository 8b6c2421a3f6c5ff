"""Run the benchmarks and write RESULTS.md: ``python benchmarks/run.py [NAME...]``.

Without names all but ``scale``, which takes many minutes.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

SCRIPTS = (
    "startup",
    "collection",
    "trial_overhead",
    "rollout",
    "html_report",
    "sequential",
    "workers",
    "circuit",
    "against",
)
PACKAGES = ("pytest", "pytest-xdist", "pytest-benchmark", "gymnasium", "numpy")


def main() -> None:
    rows = [
        result
        for name in (sys.argv[1:] or SCRIPTS)
        for result in importlib.import_module(name).main()
    ]
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    lines = [
        "# Results",
        "",
        "Written by `python benchmarks/run.py`; each figure is a median over interleaved rounds",
        "against its peer in the same run. The machine is small and shared, so read ratios.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {platform.system()}",
        f"{platform.machine()}, {os.cpu_count()} cores; {versions}.",
        "",
        "| what | measured | budget | detail |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {r['name']} | {r['figure']} {r['unit']} | {r['budget']} | {r['detail']} |" for r in rows
    ]
    Path(__file__).with_name("RESULTS.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
