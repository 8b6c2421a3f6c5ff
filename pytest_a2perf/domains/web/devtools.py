"""Chromium's DevTools protocol, over the two pipes of ``--remote-debugging-pipe``.

One message a step goes each way, as JSON that ends with a zero byte. Without a driver process and a
web socket between, that takes less than a millisecond; and there is no event loop that an exception
in the middle of a step, as at a trial's timeout, could leave behind in disorder.
"""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

from pytest_a2perf.domains.web.browser import reaped
from pytest_a2perf.errors import InfraError
from pytest_a2perf.processes import write_all

__all__ = ["DevTools"]

# Chromium reads from 3 and writes to 4; its own output is nobody's.
_PIPES = ("/bin/sh", "-c", 'exec "$0" "$@" 3<&0 4>&1 </dev/null >&2')
_ENDING = 30.0  # seconds that all its processes may take to end


class DevTools:
    """A running Chromium and one page in it; `close` it.

    Args:
        command: Chromium and its arguments.
        timeout: seconds that an answer may take.

    Attributes:
        heard: gets each event's name and parameters.

    Raises:
        InfraError: it does not start.
    """

    def __init__(self, command: Sequence[str], timeout: float) -> None:
        self.heard: Callable[[str, dict[str, Any]], None] = lambda name, values: None  # noqa: ARG005
        self._timeout = timeout
        self._number = 0
        self._unread = b""
        self._session = ""
        self._loaded = ""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(  # noqa: S603 - the user's own browser
            reaped(*_PIPES, *command, "--remote-debugging-pipe"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            bufsize=0,
        )
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
            self.call("Page.enable")
            self.call("Page.setLifecycleEventsEnabled", enabled=True)
        except BaseException:
            self.close()
            raise

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method and return its result.

        Raises:
            InfraError: Chromium has ended, is silent for too long, or refuses.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        assert self._process.stdin is not None
        try:
            write_all(self._process.stdin.fileno(), json.dumps(message).encode() + b"\0")
        except (OSError, ValueError):
            raise self._ended() from None
        answer = self._wait(lambda answer: answer.get("id") == self._number, f"answer {method}")
        if "error" in answer:
            raise InfraError(f"Chromium refuses {method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def navigate(self, url: str) -> None:
        """Open a page and wait until it is loaded.

        Raises:
            InfraError: it is not within the time, or cannot be.
        """
        begun = self.call("Page.navigate", url=url)
        if "errorText" in begun:
            raise InfraError(f"Chromium cannot open {url}: {begun['errorText']}")
        if self._loaded != begun["loaderId"]:
            self._wait(lambda _: self._loaded == begun["loaderId"], f"load {url}")

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, which must be JSON.

        Raises:
            InfraError: it throws.
        """
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            thrown = details.get("exception", {}).get("description") or details["text"]
            raise InfraError(f"the page's script failed: {thrown}")
        return result["result"].get("value")

    def close(self) -> None:
        """End Chromium and everything that it has started."""
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING)
        self._said.close()

    def _wait(self, awaited: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """Read messages up to the awaited one."""
        end = time.monotonic() + self._timeout
        while True:
            message: dict[str, Any] = json.loads(self._read(end, what))
            if "method" in message:
                self._hear(message["method"], message["params"])
            if awaited(message):
                return message

    def _hear(self, event: str, values: dict[str, Any]) -> None:
        if event == "Inspector.targetCrashed":
            raise InfraError("the page has crashed in Chromium")
        if event == "Page.lifecycleEvent" and values["name"] == "load":
            self._loaded = values["loaderId"]
        self.heard(event, values)

    def _read(self, end: float, what: str) -> bytes:
        """Read one message; ``what`` is being done until ``end``."""
        pipe = self._process.stdout
        assert pipe is not None
        while b"\0" not in self._unread:
            if pipe.closed:
                raise self._ended()
            if not select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
                raise InfraError(f"Chromium did not {what} within {self._timeout:g} s")
            new = pipe.read(1 << 20)
            if not new:
                raise self._ended()
            self._unread += new
        message, _, self._unread = self._unread.partition(b"\0")
        return message

    def _ended(self) -> InfraError:
        if self._said.closed:
            return InfraError("Chromium was closed already")
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return InfraError("Chromium has ended" + (f": {said[-1]}" if said else ""))
