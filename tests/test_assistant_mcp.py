"""Agents behind MCP: the world's tools in the hands of a process with the SDK's own client."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
import time

import pytest
from assistant_desk import SEND, SmallDesk

pytest.importorskip("mcp")

from pytest_a2perf.domains.assistant.agents.mcp_agent import McpAgent
from pytest_a2perf.domains.assistant.agents.mcp_server import McpServer
from pytest_a2perf.errors import AgentError

SDK = """
import asyncio, json, os, shlex, sys
from mcp import Client, StdioServerParameters

task, log = os.environ["A2PERF_TASK"], {}

async def call(tool, **arguments):
    result = await client.call_tool(tool, arguments)
    return result.content[0].text, bool(result.is_error)

async def main():
    global client
    command = shlex.split(os.environ["A2PERF_MCP_STDIO"])
    stdio = StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ))
    async with Client(stdio if "stdio" in sys.argv else os.environ["A2PERF_MCP_URL"]) as client:
        %s

asyncio.run(main())
with open(f"log{os.environ['A2PERF_TURN']}.json", "w") as file:
    json.dump(log, file)
"""

BARE = """
import json, os, time, urllib.request

task, log = os.environ["A2PERF_TASK"], {}
headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}

def post(method, params, **id):
    data = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **id}).encode()
    request = urllib.request.Request(os.environ["A2PERF_MCP_URL"], data, headers)
    with urllib.request.urlopen(request) as response:
        headers.setdefault("Mcp-Session-Id", response.headers.get("Mcp-Session-Id"))
        return json.loads(response.read() or "null")

def call(tool, **arguments):
    result = post("tools/call", {"name": tool, "arguments": arguments}, id=2)["result"]
    return result["content"][0]["text"], result.get("isError", False)

client = {"name": "bare", "version": "1"}
post("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}, id=1)
post("notifications/initialized", {})
%s
with open(f"log{os.environ['A2PERF_TURN']}.json", "w") as file:
    json.dump(log, file)
"""


@pytest.fixture
def play(tmp_path, monkeypatch):
    """Let a client act on a desk; return what it has logged, process by process."""

    def play(desk, body, *arguments, client=BARE, grace=60.0):
        monkeypatch.setattr("pytest_a2perf.domains.assistant.agents.mcp_agent._GRACE", grace)
        script = tmp_path / "client.py"
        indent = " " * 8 if client is SDK else ""
        script.write_text(client % textwrap.indent(textwrap.dedent(body), indent).strip())
        McpAgent(shlex.join([sys.executable, str(script), *arguments]), tmp_path).play(desk)
        return [json.loads(path.read_text()) for path in sorted(tmp_path.glob("log*.json"))]

    return play


@pytest.mark.parametrize("how", ["http", pytest.param("stdio", marks=pytest.mark.slow)])
def test_a_client_acts(how, play):
    desk = SmallDesk("Note: milk")
    (log,) = play(
        desk,
        """
        tools = (await client.list_tools()).tools
        log["tools"] = {tool.name: tool.input_schema for tool in tools}
        log["reads"] = [tool.name for tool in tools if tool.annotations and tool.annotations.read_only_hint]
        log["first"] = [(task, False), await call("notifications"), await call("notifications")]
        log["results"] = [
            await call("Notes__add", text="milk"),
            await call("Notes__add", text=""),
            await call("Notes__add", txt="eggs"),
            await call("Notes__delete"),
            await call("Notes__list_notes"),
        ]
        log["last"] = await call("AgentUserInterface__send_message_to_user", content="Noted.")
        """,
        how,
        client=SDK,
    )
    assert desk.over
    assert (desk.notes.notes, desk.said) == (["milk"], ["Noted."])
    assert set(log["tools"]) == {*desk.tools, "notifications"}
    for name, schema in log["tools"].items():
        if name != "notifications":
            assert schema == desk.tools[name].schema()["function"]["parameters"]
    assert log["reads"] == [name for name, each in desk.tools.items() if not each.write]
    assert [text for text, _ in log["first"]] == ["Note: milk", "Note: milk", "Nothing is new."]
    assert log["results"] == [
        ["1", False],
        ["Error: a note must say something", True],
        ["Error: Notes__add has no argument 'txt'; did you mean 'text'?", True],
        ["Error: there is no tool 'Notes__delete'; did you mean 'Notes__add'?", True],
        ["['milk']", False],
    ]
    assert log["last"][0].startswith("The world has come to its end")
    assert len(desk.thought) >= 8


def test_one_process_may_live_through_all_turns(play):
    desk = SmallDesk("first", "second")
    (log,) = play(
        desk,
        """
        log["said"] = [call("AgentUserInterface__send_message_to_user", content="one")]
        log["refused"] = call("Notes__add", text="too soon")
        log["news"], _ = call("notifications")
        call("Notes__add", text="now")
        call("AgentUserInterface__send_message_to_user", content="two")
        log["end"], _ = call("notifications")
        log["after"] = call("Notes__add", text="too late")
        """,
    )
    assert desk.said == ["one", "two"]
    assert desk.notes.notes == ["now"]
    assert "call notifications" in log["said"][0][0]
    assert log["refused"] == [log["said"][0][0], True]
    assert log["news"] == "second"
    assert log["end"].startswith("The world has come to its end")
    assert log["after"] == [log["end"], True]


def test_a_process_for_each_turn_and_its_output_is_the_answer(play):
    desk = SmallDesk("first", "second")
    logs = play(
        desk,
        """
        log["task"] = task
        call("Notes__add", text=task)
        print(f"done: {task}")
        """,
    )
    assert desk.said == ["done: first", "done: second"]
    assert [log["task"] for log in logs] == ["first", "second"]


def test_news_come_with_the_result_of_any_call(play):
    class Desk(SmallDesk):
        def call(self, name, arguments):
            result = super().call(name, arguments)
            if name == "Notes__add":
                self.notify("the note book is full")
            return result

    desk = Desk("first")
    (log,) = play(
        desk,
        """
        log["told"] = [call("Notes__add", text="x"), call("Notes__list_notes")]
        """,
    )
    (first, failed), second = log["told"]
    assert re.fullmatch(r"1\n\nNew:\n\[2023-11-14 22:1\d:\d\d\] the note book is full", first)
    assert (failed, second) == (False, ["['x']", False])
    assert desk.said == []


def test_a_command_of_the_shell_reads_the_config(tmp_path):
    desk = SmallDesk("What is it?")
    McpAgent('cat "$A2PERF_MCP_CONFIG"; echo; echo "$A2PERF_TURN $A2PERF_TASK"', tmp_path).play(
        desk
    )
    config, rest = desk.said[0].splitlines()
    server = json.loads(config)["mcpServers"]["a2perf"]
    assert server["type"] == "http"
    assert server["url"].startswith("http://127.0.0.1:")
    assert rest == "1 What is it?"


def test_a_command_that_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "planted-Q7f0c2")
    with pytest.raises(AgentError, match=r"agent 'mcp:echo .*' ended with status 3: no key \$SOME_API_KEY"):  # fmt: skip
        McpAgent("echo no key planted-Q7f0c2 >&2; exit 3", tmp_path).play(SmallDesk("x"))


def test_a_command_that_says_nothing_lets_time_pass(tmp_path):
    desk = SmallDesk("one", "!two")
    McpAgent('echo "$A2PERF_TASK" >> tasks', tmp_path).play(desk)
    assert desk.said == []
    tasks = (tmp_path / "tasks").read_text().splitlines()
    assert tasks[0] == "one"
    assert tasks[1].endswith("] two")


def alive(path):
    try:
        os.kill(int(path.read_text()), 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True


@pytest.mark.slow
def test_what_the_command_has_started_is_ended(tmp_path):
    command = "sleep 600 & echo $! > child; echo $$ > pid; echo done"
    McpAgent(command, tmp_path).play(SmallDesk("x"))
    for _ in range(6000):
        if not (alive(tmp_path / "child") or alive(tmp_path / "pid")):
            return
        time.sleep(0.01)
    pytest.fail("the command's processes live on")


def test_a_trial_that_is_interrupted_ends_the_command(tmp_path):
    class Interrupt(BaseException):
        pass

    class Desk(SmallDesk):
        @property
        def over(self):
            if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
                raise Interrupt
            return super().over

    with pytest.raises(Interrupt):
        McpAgent("echo $$ > pid; exec sleep 600", tmp_path).play(Desk("x"))
    for _ in range(6000):
        if not alive(tmp_path / "pid"):
            return
        time.sleep(0.01)
    pytest.fail("the command lives on")


@pytest.mark.slow
def test_the_world_does_not_wait_for_a_command_that_lingers(play):
    desk = SmallDesk("x")
    logs = play(
        desk,
        f"""
        call("{SEND}", content="done")
        time.sleep(600)
        """,
        grace=2.0,
    )
    assert desk.said == ["done"]
    assert logs == []


def test_strangers_find_nothing():
    import httpx

    with McpServer(SmallDesk().tools) as server:
        root = server.url.rsplit("/", 2)[0]
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        accepted = {"Accept": "application/json, text/event-stream"}
        with httpx.Client(headers=accepted, timeout=60) as client:
            assert client.post(f"{root}/mcp", json=body).status_code == 404
            other = client.post(server.url, json=body, headers={"Host": "evil.example"})
        assert other.status_code == 421
    with pytest.raises(httpx.ConnectError):
        httpx.post(server.url, json=body)


def test_the_bridge_runs_only_within_a_trial():
    module = "pytest_a2perf.domains.assistant.agents.mcp_stdio"
    clean = {name: value for name, value in os.environ.items() if name != "A2PERF_MCP_URL"}
    ran = subprocess.run([sys.executable, "-m", module], env=clean, capture_output=True, text=True, check=False)  # fmt: skip
    assert ran.returncode == 1
    assert "A2PERF_MCP_URL is not set" in ran.stderr
