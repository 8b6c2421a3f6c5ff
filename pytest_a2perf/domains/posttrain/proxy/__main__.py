"""The proxy's process: ``python -m pytest_a2perf.domains.posttrain.proxy DESCRIPTOR``.

It reads one line of JSON from its standard input, with the keys, which stand in no file, argument
or variable of its own; says ``ready``; and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import socket
import sys
from pathlib import Path
from time import monotonic

from pytest_a2perf.domains.posttrain.proxy.ledger import Ledger
from pytest_a2perf.domains.posttrain.proxy.options import LlmOptions
from pytest_a2perf.domains.posttrain.proxy.server import Server

__all__ = ["main"]

_SAID = 50  # complaints, e.g. of clients that speak no HTTP: they may come without end


async def main(descriptor: int) -> None:
    """Serve until the harness ends it, or is gone."""
    told = json.loads(sys.stdin.readline())
    options = LlmOptions.model_validate(told["options"])
    begun = float(told["begun"])
    ledger = Ledger(options, Path(told["log"]), told["kind"])
    server = Server(options, told["keys"], ledger, lambda: monotonic() - begun)
    listener = socket.socket(fileno=descriptor)
    await server.start(listener)
    print("ready", flush=True)  # noqa: T201 - to the harness
    try:
        await asyncio.to_thread(sys.stdin.read)
    finally:
        await server.close()


def _limit_complaints() -> None:
    handler = logging.StreamHandler()
    said = itertools.count()
    handler.addFilter(lambda record: next(said) < _SAID)  # noqa: ARG005 - whatever it is
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


if __name__ == "__main__":
    _limit_complaints()
    asyncio.run(main(int(sys.argv[1])))
