# ruff: noqa: INP001 - a script, not a module
"""Write the demo suite of the domain ``assistant``: a JSON file for each story, and a script.

    python scripts/make_assistant_demo.py [FOLDER]

The same stories give the same bytes everywhere; without a folder they go into the package.
"""

from __future__ import annotations

import sys
from pathlib import Path

from assistant_demo import adaptability, ambiguity, execution, good, search, time

DEMO = Path(__file__).parents[1] / "pytest_a2perf/domains/assistant/demo"


def main(folder: Path = DEMO) -> None:
    """Write all stories below the folder, one folder for each capability, and the script beside."""
    scripts = {}
    for chapter in (execution, search, adaptability, time, ambiguity):
        for story in chapter.stories():
            path = folder / story.capability.lower() / f"{story.name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            text = story.to_json()
            path.write_text(text, encoding="utf-8")
            scripts[story.name] = good.script_of(text)
    (folder.parent / f"{folder.name}_script.json").write_text(
        good.to_json(scripts), encoding="utf-8"
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
