"""An agent that is a command: it gets the world's tools over MCP."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pytest_a2perf.domains.assistant.agents.mcp_server import NOTIFICATIONS, Asked, McpServer, Told
from pytest_a2perf.domains.assistant.agents.player import Desk, answer_tool, news_text
from pytest_a2perf.domains.assistant.apps.results import render
from pytest_a2perf.domains.assistant.errors import ToolError
from pytest_a2perf.domains.assistant.world.notifications import Notification
from pytest_a2perf.errors import AgentError
from pytest_a2perf.llm.secrets import redact

__all__ = ["McpAgent"]

_POLL = 0.02  # seconds between looks whether the command has ended
_GRACE = 2.0  # seconds that it may take to end once the world has
_SHOWN = 500  # characters of what it has said before it failed
_STDIO = "pytest_a2perf.domains.assistant.agents.mcp_stdio"
_OVER = "The world has come to its end; there is nothing more to do."
_TURN_OVER = (
    "Your message to the user has ended your turn: call notifications for what comes next, or end."
)
# The command is in this shell's process group, which ends with us, even if we are killed.
_WARDEN = ("/bin/sh", "-c", "trap '' HUP INT TERM; read _; kill -KILL 0")


class McpAgent:
    """Runs a command for each turn that none of its processes lives to see.

    The command is for a shell. Its environment has ``A2PERF_TASK``, what is new as text;
    ``A2PERF_TURN``, from 1; ``A2PERF_MCP_URL``, where the tools are (streamable HTTP);
    ``A2PERF_MCP_STDIO``, a command that offers them over stdio; and ``A2PERF_MCP_CONFIG``, a JSON
    file with ``mcpServers``, as many clients read it.

    A message to the user ends the turn. So does the end of the command; if it has not written to
    the user until then, what it has written to its standard output is sent. The time that it takes
    between calls passes in the world as well. Its processes are ended with the trial.

    Args:
        command: for ``/bin/sh``.
        root: its working directory.
    """

    def __init__(self, command: str, root: Path) -> None:
        self._command = command
        self._root = root

    def play(self, desk: Desk) -> None:
        """Act in a world until it is over.

        Raises:
            AgentError: the command fails, or the SDK is not installed.
            InfraError: the server does not start.
        """
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="a2perf-mcp-"))
            server = stack.enter_context(McpServer(desk.tools))
            process = _Command(self._command, self._root, Path(folder), server.url)
            stack.callback(process.close)
            game = _Game(desk, server)
            if not game.listen():
                desk.wait()
            while not desk.over:
                game.listen()
                process.start(game.begin())
                game.end(game.serve(process))


class _Game:
    """One trial: what the agent has been told, and whose turn it is."""

    def __init__(self, desk: Desk, server: McpServer) -> None:
        self.between_turns = True
        self._desk = desk
        self._server = server
        self._news: list[Notification] = []
        self._task: str | None = None
        self._since = 0.0

    def listen(self) -> bool:
        """Take what is new; return whether anything is."""
        self._news += self._desk.notifications()
        return bool(self._news)

    def begin(self) -> str:
        """Return what a new process is told, which `NOTIFICATIONS` tells once more."""
        self.between_turns = False
        self._task = self._told()
        self._since = time.perf_counter()
        return self._task

    def serve(self, process: _Command) -> str:
        """Answer calls until the process ends; return what it has said.

        Raises:
            AgentError: it has failed.
        """
        patience: float | None = None  # when to end it
        while process.running() or not self._server.asked.empty():
            with contextlib.suppress(queue.Empty):
                asked = self._server.asked.get(timeout=_POLL)
                if asked.told.set_running_or_notify_cancel():  # somebody still waits for it
                    asked.told.set_result(self._answer(asked))
                    self._since = time.perf_counter()
            if self._desk.over:
                patience = patience or time.monotonic() + _GRACE
                if time.monotonic() > patience:
                    return ""
        return process.said() if not self._desk.over else ""

    def end(self, said: str) -> None:
        """The process has ended; if it has not written to the user, send what it has said."""
        if self._desk.over or self.between_turns:
            return
        if said:
            try:
                self._desk.call(answer_tool(self._desk), {"content": said})
            except ToolError as error:
                raise AgentError(f"what the command said did not reach the user: {error}") from None
        self._desk.wait()

    def _answer(self, asked: Asked) -> Told:
        desk = self._desk
        if not desk.over:
            desk.think(time.perf_counter() - self._since)
        if desk.over:
            return Told(_OVER, failed=asked.tool != NOTIFICATIONS)
        if asked.tool == NOTIFICATIONS:
            return Told(self._notifications())
        if self.between_turns:
            return Told(_TURN_OVER, failed=True)
        try:
            told = Told(render(desk.call(asked.tool, asked.arguments)))
        except ToolError as error:
            told = Told(f"Error: {error}", failed=True)
        if desk.turn_over:
            self.between_turns = True
            desk.wait()
            return self._turn_ended()
        self.listen()
        if self._news:
            told = Told(f"{told.text}\n\nNew:\n{self._told()}", told.failed)
        return told

    def _turn_ended(self) -> Told:
        return Told(_OVER if self._desk.over else _TURN_OVER)

    def _notifications(self) -> str:
        if self.between_turns:
            self.between_turns = False
        elif self._task is not None:
            task, self._task = self._task, None
            return task
        self.listen()
        return self._told() or "Nothing is new."

    def _told(self) -> str:
        news, self._news = self._news, []
        return news_text(news)


class _Command:
    """The processes of an agent, one after the other."""

    def __init__(self, command: str, root: Path, folder: Path, url: str) -> None:
        self._command = command
        self._root = root
        self._out = folder / "stdout"
        self._err = folder / "stderr"
        config = folder / "mcp.json"
        config.write_text(json.dumps({"mcpServers": {"a2perf": {"type": "http", "url": url}}}))
        self._variables = {
            "A2PERF_MCP_URL": url,
            "A2PERF_MCP_STDIO": shlex.join((sys.executable, "-m", _STDIO)),
            "A2PERF_MCP_CONFIG": str(config),
        }
        self._turn = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._warden = subprocess.Popen(_WARDEN, stdin=subprocess.PIPE, process_group=0)  # noqa: S603 - see above

    def start(self, task: str) -> None:
        """Begin a turn."""
        self._turn += 1
        variables = {"A2PERF_TASK": task, "A2PERF_TURN": str(self._turn)}
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own command
                ("/bin/sh", "-c", self._command),
                cwd=self._root,
                env={**os.environ, **self._variables, **variables},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                process_group=self._warden.pid,
            )

    def running(self) -> bool:
        """Whether the last one still runs."""
        return self._process is not None and self._process.poll() is None

    def said(self) -> str:
        """Return the standard output of the last one.

        Raises:
            AgentError: it has failed.
        """
        assert self._process is not None
        if self._process.returncode:
            error = self._err.read_text("utf-8", "replace").strip()[-_SHOWN:]
            raise AgentError(
                f"agent 'mcp:{self._command}' ended with status {self._process.returncode}"
                + (f": {redact(error)}" if error else "")
            )
        return self._out.read_text("utf-8", "replace").strip()

    def close(self) -> None:
        """End all that the command has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._warden.pid, signal.SIGKILL)
        for process in (self._warden, self._process):
            if process is not None:
                process.kill()
                process.wait()
        if self._warden.stdin is not None:
            self._warden.stdin.close()
