"""Fixtures for tests of the plugin through pytester."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import importlib_metadata  # noqa: F401 - see below
import pandas  # noqa: F401, ICN001 - see below
import pytest
import scipy.signal  # noqa: F401 - as pandas
from hypothesis import HealthCheck, settings
from llm_server import LlmServer

from pytest_a2perf.runs.record import Record
from pytest_a2perf.runs.store import read_records

# pytester forgets what was imported during a test, but pandas cannot be imported twice; and the
# backport that MLflow and litellm import takes the standard library's finder of distributions out,
# while pytester takes away the backport's own: no plugin would be found any more. Hence above.

# Many tests start Python; without byte code on disk each would compile every plugin again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Where SIGINT is ignored, as in a worker of xdist or a job in the background, it would be in all that
# tests start, too, and nothing could be interrupted; a handler is not passed on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, lambda *_: None)

# In a job of GitHub Actions, the runs under test would write into its summary.
for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
    os.environ.pop(name, None)

# How long an example takes says more about the machine than about what is tested.
settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("any machine")

AGENTS = """
    class Right:
        '''Pushes the cart under the pole.'''

        def act(self, observation):
            return int(observation[2] + 0.5 * observation[3] > 0)


    def wrong(observation):
        return 0


    class Crashes:
        def act(self, observation):
            raise ZeroDivisionError("from the agent")


    class Hangs:
        def act(self, observation):
            while True:
                pass


    class Stuck:
        '''Never returns to the interpreter.'''

        def act(self, observation):
            return sum(range(10**15))


    class Dies:
        def act(self, observation):
            import os, signal
            os.kill(os.getpid(), signal.SIGSEGV)
"""


@pytest.fixture(autouse=True)
def same_folder() -> Iterator[None]:
    """Fails the test that leaves its process in another folder, rather than one after it."""
    before = Path.cwd()
    yield
    assert Path.cwd() == before


OTHER_PLUGINS = ("anyio", "asyncio", "benchmark", "hypothesispytest", "rerunfailures")


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Runs pytest without plugins that only few tests are about: they are half of its start."""
    monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(f"-p no:{name}" for name in OTHER_PLUGINS))
    return pytester


@pytest.fixture
def all_plugins(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has `pytester` run pytest with all plugins that are installed."""
    monkeypatch.delenv("PYTEST_ADDOPTS")


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A user's project with agents, and no state shared with this repository."""
    pytester.makepyfile(agents=AGENTS)
    return pytester


@pytest.fixture
def write(project: pytest.Pytester) -> Callable[..., Path]:
    """Write ``scenarios/<name>.toml``; the schema line is put in front."""

    def write(text: str, name: str = "suite", *, schema: bool = True) -> Path:
        path = project.path / "scenarios" / f"{name}.toml"
        path.parent.mkdir(exist_ok=True)
        head = "schema = 1\n" if schema else ""
        path.write_text(head + textwrap.dedent(text), encoding="utf-8")
        return path

    return write


@pytest.fixture
def records(project: pytest.Pytester) -> Callable[[], list[Record]]:
    """Read the records of the project's only run."""

    def records() -> list[Record]:
        (folder,) = (project.path / ".a2perf" / "runs").iterdir()
        return list(read_records(folder))

    return records


@pytest.fixture
def run_json(project: pytest.Pytester) -> Callable[[], dict[str, Any]]:
    """Read ``run.json`` of the project's only run."""

    def run_json() -> dict[str, Any]:
        (folder,) = (project.path / ".a2perf" / "runs").iterdir()
        return json.loads((folder / "run.json").read_text())

    return run_json


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., LlmServer]]:
    """Start servers with OpenAI's interface that answer by a script; there is no key."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with contextlib.ExitStack() as stack:
        yield lambda *script: stack.enter_context(LlmServer(*script))


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Let torch use one thread: two on a busy machine are slower than one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
