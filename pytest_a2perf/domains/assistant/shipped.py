"""What comes along with the domain ``assistant``."""

from __future__ import annotations

from pathlib import Path

__all__ = ["DEMO", "DEMO_FOLDER", "DEMO_SCRIPT"]

DEMO = "a2perf/demo"
"""The task that stands for the scenarios that come with the package, and the script for them."""

DEMO_FOLDER = Path(__file__).with_name("demo")
"""The scenarios, in a folder for each capability."""

DEMO_SCRIPT = Path(__file__).with_name("demo_script.json")
"""The calls of a good agent, for ``assistant-scripted``."""
