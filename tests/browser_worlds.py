"""What tests with browsers share: where there is none they are skipped, and nothing may be left."""

from __future__ import annotations

import json
import shutil
import time

import psutil
import pytest

from pytest_a2perf.domains.web.browser import find_chromium
from pytest_a2perf.errors import InfraError

try:
    CHROMIUM = find_chromium()
except InfraError:
    CHROMIUM = ""
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine")
needs_chromedriver = pytest.mark.skipif(
    not (CHROMIUM and shutil.which("chromedriver")),
    reason="there is no Chromium with ChromeDriver on this machine",
)

NOTED = "browser.json"
NOTING = f"""
    import itertools
    import json
    import os
    import signal
    import time

    import psutil


    class Noting:
        '''Notes which processes the environment has started.'''

        def act(self, observation):
            started = psutil.Process().children(recursive=True)
            seen = [(each.pid, each.create_time(), each.name()) for each in started]
            with open("{NOTED}.new", "w") as file:
                json.dump(seen, file)
            os.replace("{NOTED}.new", "{NOTED}")
            return super().act(observation)


    class Crashes:
        def act(self, observation):
            raise ZeroDivisionError("from the agent")


    class Hangs:
        def act(self, observation):
            time.sleep(600)


    class Stuck:
        '''Never returns to the interpreter.'''

        def act(self, observation):
            return sum(itertools.count())


    class Dies:
        def act(self, observation):
            os.kill(os.getpid(), signal.SIGKILL)


    class KillsWorker:
        def act(self, observation):
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(600)
"""
"""Agents; each ``class Noted(Noting, X)`` notes what runs, and then does what X does."""


def assert_all_ended(folder, seconds=60.0):
    """There were browser processes, and there are none of them now, not even defunct ones."""
    seen = json.loads((folder / NOTED).read_text())
    assert sum("chrom" in name for _, _, name in seen) > 3, seen
    end = time.monotonic() + seconds
    while left := [each for each in seen if _is_there(*each[:2])]:
        assert time.monotonic() < end, left
        time.sleep(0.05)


def _is_there(pid, born):
    try:
        return psutil.Process(pid).create_time() == born
    except psutil.NoSuchProcess:
        return False
