"""The process that makes load: ``python -m pytest_a2perf.domains.serving.replay.worker``.

It reads its plan and what to do from standard input, and tells how far it is on standard output,
see `plan`. When standard input ends the trial is gone, and so is this process, at once.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Coroutine
from dataclasses import asdict
from typing import Any

from pytest_a2perf.domains.serving.replay.lag import Lag
from pytest_a2perf.domains.serving.replay.load import Load, load_of
from pytest_a2perf.domains.serving.replay.plan import Plan
from pytest_a2perf.domains.serving.replay.rowwriter import RowWriter
from pytest_a2perf.domains.serving.replay.timers import Timers
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.llm.secrets import redact

__all__ = ["main"]

_STATUS_EACH = 0.25
_STDIN, _STDOUT = 0, 1


class _Worker:
    def __init__(self) -> None:
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        self._rest = b""
        self._ticking: asyncio.TimerHandle
        self._rows: RowWriter | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._broken)
        loop.add_signal_handler(signal.SIGTERM, self._die)
        loop.add_reader(_STDIN, self._read)
        plan = _plan_of(await self._lines.get())
        rows = self._rows = RowWriter(plan.rows)
        timers = Timers()
        load, lag = load_of(plan, rows, timers), Lag(timers)
        await load.prepare()
        if plan.endpoint.api != "litellm":
            # Looking for cycles takes milliseconds, in which no read gets its time. What follows
            # makes next to none of them: counting references is enough.
            gc.collect()
            gc.freeze()
            gc.disable()
        _tell({"event": "ready"})
        self._tick(load, rows)
        message = await self._message()
        if message["do"] == "start":
            lag.start(message["at"])
            load.start(message["at"])
            while (await self._message())["do"] != "stop":
                pass
        load.stop()
        await load.drain()
        _tell({"event": "status", **asdict(load.read_status())})
        load.close()
        timers.close()
        self._ticking.cancel()
        rows.close(lag.counts)
        _tell({"event": "done"})

    def _tick(self, load: Load, rows: RowWriter) -> None:
        rows.flush()
        _tell({"event": "status", **asdict(load.read_status())})
        loop = asyncio.get_running_loop()
        self._ticking = loop.call_later(_STATUS_EACH, self._tick, load, rows)

    async def _message(self) -> dict[str, Any]:
        line = await self._lines.get()
        try:
            message: dict[str, Any] = json.loads(line)
            if message["do"] == "stop" or isinstance(message["at"], int | float):
                return message
        except (ValueError, KeyError, TypeError):
            pass
        raise A2PerfError(f"a load process was told what it does not know: {line[:200]!r}")

    def _read(self) -> None:
        data = os.read(_STDIN, 1 << 16)
        if not data:
            self._die()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._lines.put_nowait(line)

    def _broken(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG002
        """End with an error: what came after a broken callback could not be trusted."""
        _tell_error(context.get("exception") or RuntimeError(context["message"]))
        self._die()

    def _die(self) -> None:
        if self._rows is not None:
            self._rows.flush()
        os._exit(1)


def _plan_of(line: bytes) -> Plan:
    try:
        return Plan.from_json(json.loads(line))
    except (ValueError, KeyError, TypeError) as error:
        raise A2PerfError(f"a load process was sent what is no plan: {error!r}") from error


def _tell(event: dict[str, Any]) -> None:
    try:
        os.write(_STDOUT, json.dumps(event).encode() + b"\n")
    except BrokenPipeError:
        os._exit(1)


def _tell_error(error: BaseException) -> None:
    message = str(error) if isinstance(error, A2PerfError) else f"{type(error).__name__}: {error}"
    if not isinstance(error, A2PerfError):
        sys.stderr.write(redact("".join(traceback.format_exception(error))))
        sys.stderr.flush()
    _tell({"event": "error", "message": redact(message)})


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


def main() -> int:
    """Run, and return the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the trial ends us
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a descriptor for each agent
    try:
        _run(_Worker().run())
    except Exception as error:  # noqa: BLE001 - whatever it is, the trial is told
        _tell_error(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
