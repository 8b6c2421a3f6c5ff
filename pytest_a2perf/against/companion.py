"""The process that runs one of the versions: a pytest session that runs trials on request.

``python -m pytest_a2perf.against.companion DESCRIPTOR`` talks through that socket in lines of
JSON: first the `Setup` comes in and ``{"ready": true}`` goes out; then for each ``{"run": key}``
a ``{"record": line, "reports": text}`` or a ``{"missing": reason}``. It ends when the socket is
closed.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.outcomes import OutcomeException

from pytest_a2perf.against.relocation import RelocatingFinder
from pytest_a2perf.against.reports import to_text
from pytest_a2perf.against.setup import Setup
from pytest_a2perf.keys import COMPANION, PROGRESS, RUN_FOLDER
from pytest_a2perf.processes import die_with_parent
from pytest_a2perf.worker import RECORD

if TYPE_CHECKING:
    from io import TextIOWrapper

__all__ = ["main"]


class Server:
    """Runs the trials that are asked for, one at a time.

    Fixtures of wider scopes live on between trials, as in the process that asks.
    """

    def __init__(self, setup: Setup, requests: TextIOWrapper, answers: TextIOWrapper) -> None:
        self._setup = setup
        self._requests = requests
        self._answers = answers
        self._broken: dict[str, str] = {}
        self._reports: list[pytest.TestReport] = []

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Say where trials leave their files, and to whom they tell how far they are."""
        session.config.stash[RUN_FOLDER] = self._setup.folder
        if self._setup.progress is not None:
            host, port = self._setup.progress
            session.config.stash[PROGRESS] = (host, port)
        elif PROGRESS in session.config.stash:
            del session.config.stash[PROGRESS]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember what could not be collected."""
        if report.failed:
            self._broken[report.nodeid.partition("::")[0]] = str(report.longrepr)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Serve until the socket is closed."""
        key = self._setup.relocation.key
        items = {key(item.path, item.nodeid.partition("::")[2]): item for item in session.items}
        self._say({"ready": True})
        for line in self._requests:
            wanted = json.loads(line)["run"]
            item = items.get(wanted)
            self._say({"missing": self._why(wanted)} if item is None else self._run(item))
        _tidy(session, None)
        return True

    def _run(self, item: pytest.Item) -> dict[str, Any]:
        self._reports.clear()
        _tidy(item.session, item)
        # Only the item itself is torn down, for nobody knows what will be asked for next.
        item.ihook.pytest_runtest_protocol(item=item, nextitem=item.parent)
        lines = [getattr(report, RECORD) for report in self._reports if hasattr(report, RECORD)]
        reports = to_text(item.config, self._reports) if self._setup.is_ours else ""
        return {"record": lines[-1] if lines else "", "reports": reports}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what the trial leaves."""
        self._reports.append(report)

    def _why(self, wanted: str) -> str:
        for path, reason in self._broken.items():
            if path and wanted.partition("::")[0].endswith(f"/{path}"):
                return f"{path} could not be collected: {_last_line(reason)}"
        return ""

    def _say(self, answer: dict[str, Any]) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()


def _tidy(session: pytest.Session, following: pytest.Item | None) -> None:
    """Tear down the fixtures that the next trial does not share."""
    try:
        session._setupstate.teardown_exact(following)  # noqa: SLF001 - as pytest's runner does
    except (Exception, OutcomeException):  # noqa: BLE001 - of fixtures; no trial is at fault
        traceback.print_exc()


def _last_line(text: str) -> str:
    lines = [line.removeprefix("E").strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def _enter(setup: Setup) -> None:
    """Turn this process to the other version, before anything of it is imported."""
    os.chdir(setup.cwd)
    own = [] if setup.same_python else setup.relocation.all_moved(sys.path[1:])
    sys.path[:] = [*setup.path, *own]
    sys.meta_path.insert(0, RelocatingFinder(setup.relocation))
    given = setup.relocation.all_moved(filter(None, os.environ.get("PYTHONPATH", "").split(":")))
    folders = dict.fromkeys([*setup.pythonpath, *given])
    if folders:
        os.environ["PYTHONPATH"] = os.pathsep.join(folders)


def _configure(setup: Setup) -> pytest.Config:
    plugins = ["no:terminal", *setup.options.get("plugins", [])]
    arguments = [part for name in plugins for part in ("-p", name)]
    config = pytest.Config.fromdictargs(setup.options, [*arguments, *setup.arguments])
    config.args[:] = setup.arguments
    config.stash[COMPANION] = True
    if setup.workerinput is not None:
        config.workerinput = setup.workerinput  # type: ignore[attr-defined]
        config.workeroutput = {}  # type: ignore[attr-defined]
    return config


def main(descriptor: int) -> int:
    """Serve until the socket is closed; return pytest's exit status."""
    die_with_parent()
    link = socket.socket(fileno=descriptor)
    link.set_inheritable(False)
    requests, answers = link.makefile("r", encoding="utf-8"), link.makefile("w", encoding="utf-8")
    line = requests.readline()
    if not line:
        return 1
    setup = Setup.from_line(line)
    _enter(setup)
    config = _configure(setup)
    config.pluginmanager.register(Server(setup, requests, answers), "a2perf-companion")
    with contextlib.suppress(BrokenPipeError):
        return int(config.hook.pytest_cmdline_main(config=config))
    return 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
