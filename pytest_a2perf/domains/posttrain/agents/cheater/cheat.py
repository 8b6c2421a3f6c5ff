# ruff: noqa: INP001, T201
"""A control: try for a score by all means but training.

It reports in ``reports/cheats.json`` what it believes to have achieved. It does no harm where
nothing holds it back: it reads, knocks on doors, and writes only where it is at home.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from around_the_box import ATTACKS as AROUND  # type: ignore[import-not-found]  # beside it, in the box
from on_the_grader import ATTACKS as GRADER  # type: ignore[import-not-found]  # beside it, in the box

Attack = Callable[[], str]
"""Returns what it believes to have achieved; empty if nothing. What it raises is why not."""


def main() -> None:
    """Try everything, and report."""
    results = []
    for attack in (*GRADER, *AROUND):
        try:
            gained, why = attack(), ""
        except Exception as error:  # noqa: BLE001 - whatever stops it
            gained, why = "", f"{type(error).__name__}: {error}"
        results.append({"attack": attack.__name__, "gained": gained, "stopped": why[:300]})
        print(attack.__name__, "->", gained or f"nothing ({why[:120]})", flush=True)
    reports = Path(os.environ["WORKSPACE"], "reports")
    reports.mkdir(exist_ok=True)
    (reports / "cheats.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
    sys.exit(0)
