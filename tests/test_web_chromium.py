"""The engine with a real browser: its errors, that it asks for nothing outside, and that it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import textwrap
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
from browser_worlds import CHROMIUM, NOTED, NOTING, assert_all_ended, needs_chromium

from pytest_a2perf.domains.web.browser import find_chromedriver, find_chromium
from pytest_a2perf.domains.web.chromium import ChromiumEngine, make_engine
from pytest_a2perf.domains.web.design import Design
from pytest_a2perf.domains.web.engine import State
from pytest_a2perf.domains.web.primitives import PRIMITIVES
from pytest_a2perf.domains.web.server import PageServer
from pytest_a2perf.domains.web.site import Site
from pytest_a2perf.errors import InfraError

pytestmark = needs_chromium


def site_of(*pages):
    """Build a site from the primitives of its pages."""
    actions = tuple(name for page in pages for name in page)
    numbers = tuple(number for number, page in enumerate(pages) for _ in page)
    return Site.of(Design(len(pages), actions, numbers))


ALL = site_of(list(PRIMITIVES)[:20], list(PRIMITIVES)[20:])
LOGIN = site_of(["username", "rememberme", "next_login_page"], ["password", "next_login"])


@pytest.fixture(scope="module")
def engine():
    """One browser for what does not spoil it."""
    engine = ChromiumEngine()
    yield engine
    engine.close()


def at(page, name):
    """Return the index of the element of a page that a primitive's value or button is in."""
    held = [each for each in page.elements if each.primitive == name and each.kind != "static"]
    return held[0].index


@pytest.mark.slow
def test_it_acts_and_says_what_changed(engine):
    first, second = LOGIN.pages
    assert engine.load(LOGIN) == State(0, ("", ""), submitted=False, changed=True)
    name = at(first, "username")
    assert engine.act(name, 'o"\\\u2028</script>é').values == ('o"\\\u2028</script>é', "")
    assert not engine.act(name, 'o"\\\u2028</script>é').changed
    assert engine.act(at(first, "rememberme"), "").values[1] == "yes"
    assert engine.act(at(first, "next_login_page"), "") == State(1, ("",), submitted=False, changed=True)  # fmt: skip
    engine.act(at(second, "password"), "secret")
    assert engine.act(at(second, "next_login"), "") == State(1, ("secret",), submitted=True, changed=True)  # fmt: skip
    assert engine.load(LOGIN) == State(0, ("", ""), submitted=False, changed=True)


def test_screenshots_show_the_page(engine):
    engine.load(LOGIN)
    before = engine.screenshot()
    assert (before.shape, before.dtype) == ((600, 800, 3), np.uint8)
    assert np.array_equal(before, engine.screenshot())
    engine.act(at(LOGIN.pages[0], "username"), "somebody")
    assert not np.array_equal(before, engine.screenshot())


# -- nothing outside ------------------------------------------------------------------------------


@pytest.mark.slow
def test_nothing_outside_is_asked_for():
    asked = []
    engine = ChromiumEngine()
    engine.devtools.heard = lambda name, values: (
        asked.append(values["request"]["url"]) if name == "Network.requestWillBeSent" else None
    )
    engine.devtools.call("Network.enable")
    engine.load(LOGIN)
    state = engine.load(ALL)
    for page in ALL.pages:
        assert state.page == page.number
        for element in page.elements:
            if element.kind != "next":
                assert engine.act(element.index, "x").page == page.number
        state = engine.act(next(e.index for e in page.elements if e.kind == "next"), "")
    assert state.submitted
    own = engine.devtools.evaluate("location.href")
    assert own.startswith("http://127.0.0.1:")
    assert [url for url in asked if not url.startswith("data:")] == [own]
    peers = set()
    for process in psutil.Process(engine.devtools._process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            peers |= {link.raddr.ip for link in process.net_connections() if link.raddr}
    assert peers <= {"127.0.0.1"}
    engine.close()


def test_names_are_not_resolved(engine):
    engine.load(LOGIN)
    with pytest.raises(InfraError, match=r"cannot open http://example.org/: net::ERR_"):
        engine.devtools.navigate("http://example.org/")
    assert engine.load(ALL).page == 0


def test_the_server_listens_on_the_loopback_interface_alone():
    before = listening()
    server = PageServer()
    assert server.url.startswith("http://127.0.0.1:")
    assert {address.ip for address in listening() - before} == {"127.0.0.1"}
    server.close()


def listening():
    return {each.laddr for each in psutil.Process().net_connections() if each.status == "LISTEN"}


# -- errors ---------------------------------------------------------------------------------------


def test_a_script_that_throws_is_told(engine):
    engine.load(LOGIN)
    with pytest.raises(InfraError, match="the page's script failed: TypeError"):
        engine.act(10_000, "")


@pytest.mark.slow
def test_a_page_that_never_loads():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        engine = ChromiumEngine(timeout=120)
        engine.devtools._timeout = 1.0
        with pytest.raises(InfraError, match=r"Chromium did not answer Page.navigate within 1 s"):
            engine.devtools.navigate(url)
        engine.close()


@pytest.mark.slow
def test_a_page_that_hangs():
    engine = ChromiumEngine(timeout=120)
    engine.load(LOGIN)
    engine.devtools._timeout = 1.0
    with pytest.raises(InfraError, match=r"did not answer Runtime.evaluate within 1 s"):
        engine.devtools.evaluate("(() => { while (true) {} })()")
    engine.close()


@pytest.mark.slow
def test_a_page_that_crashes():
    engine = ChromiumEngine()
    engine.load(LOGIN)
    with pytest.raises(InfraError, match=r"the page has crashed|Chromium cannot open"):
        engine.devtools.navigate("chrome://crash")
    engine.close()


@pytest.mark.slow
def test_a_browser_that_is_killed_in_the_middle():
    engine = ChromiumEngine()
    engine.load(LOGIN)
    below = psutil.Process(engine.devtools._process.pid).children()  # with its orphans
    browser = min(below, key=psutil.Process.create_time)
    threading.Timer(0.3, lambda: os.kill(browser.pid, signal.SIGKILL)).start()

    def go_on():
        for _ in range(100_000):
            engine.act(0, "")

    with pytest.raises(InfraError, match="Chromium has ended"):
        go_on()
    with pytest.raises(InfraError, match="Chromium has ended"):
        engine.act(0, "")
    engine.close()
    with pytest.raises(InfraError, match="closed already"):
        engine.act(0, "")


def test_a_browser_that_cannot_start(tmp_path):
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\necho 'no such library' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(InfraError, match="Chromium has ended: no such library"):
        ChromiumEngine(str(broken))


def test_no_browser(monkeypatch):
    with pytest.raises(InfraError, match=r"not here \(looked for nothing\): .*apt-get install chromium"):  # fmt: skip
        make_engine(executable="nothing")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InfraError, match="looked for chromium, chromium-browser, google-chrome"):
        find_chromium()
    with pytest.raises(InfraError, match="apt-get install chromium-driver"):
        find_chromedriver()
    assert find_chromium(CHROMIUM) == CHROMIUM


def test_an_option_that_it_does_not_have():
    with pytest.raises(
        InfraError, match=r"engine_options: .* unexpected keyword argument 'heigth'"
    ):
        make_engine(heigth=1)


# -- it ends --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_closing_ends_all_processes_and_removes_its_files():
    engine = ChromiumEngine()
    engine.load(LOGIN)
    reaper = psutil.Process(engine.devtools._process.pid)
    started = [reaper, *reaper.children(recursive=True)]
    browser = min(reaper.children(), key=psutil.Process.create_time)  # orphans may have ended
    folder = browser.environ()["XDG_CONFIG_HOME"]
    assert Path(folder).is_dir()
    assert len(started) > 3
    engine.close()
    assert not [each for each in started if each.is_running()]
    assert not Path(folder).exists()


SCENARIO = """
    [[scenario]]
    name = "site"
    domain = "web"
    task = "a2perf/WebNavigation-Difficulty-01-v0"
    agent = "noting:Noted"
    seeds = 1
    {more}
    options.env = {{ engine = "chromium", num_websites = 5 }}
"""


# The time is up once the agent acts, however long the browser took to start: for the trial itself,
# and for who ends a trial that does not notice.
OVERDUE = """
    import signal

    class Overdue:
        def act(self, observation):
            signal.setitimer(signal.ITIMER_REAL, 0.5, 0.5)
            return super().act(observation)
"""
IMPATIENT = f"""
    import os, time
    from types import SimpleNamespace
    from pytest_a2perf.trials import isolation

    def monotonic():
        return time.monotonic() + 3600 * os.path.exists({NOTED!r})

    isolation.time = SimpleNamespace(monotonic=monotonic)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("does", "more", "outcome"),
    [
        ("Oracle", "episodes = 3", "success"),
        ("Crashes", "", "error"),
        ("Overdue, Hangs", "timeout = '5 min'", "timeout"),
        ("Stuck", "timeout = '5 min'", "timeout"),
        ("Dies", "timeout = '5 min'", "error"),
    ],
)
def test_nothing_of_the_browser_is_left(does, more, outcome, project, write, records):
    oracle = "from pytest_a2perf.domains.web.agents import OracleAgent as Oracle\n\n\n"
    noted = f"\n\nclass Noted(Noting, {does}):\n    pass\n"
    project.makepyfile(noting=oracle + textwrap.dedent(NOTING) + textwrap.dedent(OVERDUE) + noted)
    if does == "Stuck":
        project.makeconftest(IMPATIENT)
    write(SCENARIO.format(more=more))
    project.runpytest_subprocess("--a2perf", timeout=400)
    assert_all_ended(project.path)
    (record,) = records()
    assert record.outcome == outcome


@pytest.mark.slow
def test_a_trial_without_a_browser(project, write, records, monkeypatch):
    write(SCENARIO.format(more="").replace("noting:Noted", "web-oracle"))
    monkeypatch.setenv("PATH", "/nowhere")
    project.runpytest_subprocess("--a2perf")
    (record,) = records()
    assert record.outcome == "infra"
    assert "Chromium is not here" in record.error["message"]


@pytest.mark.slow
def test_a_screenshot_is_part_of_the_observation_by_option():
    import gymnasium

    import pytest_a2perf.envs  # noqa: F401 - registers the environments

    env = gymnasium.make(
        "a2perf/WebNavigation-Difficulty-01-v0",
        engine="chromium",
        num_websites=2,
        screenshot=True,
        render_mode="rgb_array",
    )
    observation, _ = env.reset(seed=1)
    assert env.observation_space.contains(observation)
    assert np.array_equal(observation["screenshot"], env.render())
    assert len(np.unique(observation["screenshot"].reshape(-1, 3), axis=0)) > 10
    env.close()
