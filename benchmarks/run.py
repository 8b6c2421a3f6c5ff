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
    "quadruped",
    "web",
    "web_browsers",
    "assistant",
    "posttrain",
    "serving",
    "against",
)
PACKAGES = ("pytest", "pytest-xdist", "pytest-benchmark", "gymnasium", "numpy", "numba")


RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> None:
    """Run benchmarks; figures of those that are not run now stay, with their date."""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    rows = _earlier()
    for name in sys.argv[1:] or SCRIPTS:
        for r in importlib.import_module(name).main():
            cells = (r["name"], f"{r['figure']} {r['unit']}", r["budget"], r["detail"], today)
            rows[str(r["name"])] = f"| {' | '.join(map(str, cells))} |"
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    lines = [
        "# Results",
        "",
        "Written by `python benchmarks/run.py`; each figure is a median over interleaved rounds",
        "against its peer in the same run. The machine is small and shared, so read ratios.",
        "",
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()},",
        f"{os.cpu_count()} cores; {versions}.",
        "",
        "| what | measured | budget | detail | when |",
        "|---|---|---|---|---|",
        *rows.values(),
    ]
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _earlier() -> dict[str, str]:
    """Return the rows that are there, by what they are about."""
    if not RESULTS.exists():
        return {}
    lines = RESULTS.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| what")]
    return {line.split(" | ")[0].removeprefix("| "): line for line in rows}


if __name__ == "__main__":
    main()
