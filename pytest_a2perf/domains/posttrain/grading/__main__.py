"""``python -m pytest_a2perf.domains.posttrain.grading CONFIG.json [FD FOLDER]``: the service.

It serves HTTP on the listening socket with that descriptor, or on one of its own in the run's
socket folder, tells events on standard output, and ends with its standard input. Temporary files go
into the folder, which goes with it; unless it is killed, for then it is to be started again.
"""

from __future__ import annotations

import queue
import shutil
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path

from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.grading.config import BROKEN_LOG, Config
from pytest_a2perf.domains.posttrain.grading.grader import Grader
from pytest_a2perf.domains.posttrain.grading.harness import Harness
from pytest_a2perf.domains.posttrain.grading.log import LogError
from pytest_a2perf.domains.posttrain.grading.server import Server
from pytest_a2perf.domains.posttrain.grading.sockets import listen


def main(arguments: list[str]) -> int:
    """Serve until standard input ends or SIGTERM comes; return the exit status."""
    config = Config.from_json(Path(arguments[0]).read_text(encoding="utf-8"))
    if len(arguments) > 1:
        listener = socket.socket(fileno=int(arguments[1]))
        tempfile.tempdir = arguments[2]
    else:
        listener = listen(RunFiles(config.root).socket)
    # A queue that C implements: its `put` may be called from a signal handler.
    ended: queue.SimpleQueue[None] = queue.SimpleQueue()
    signal.signal(signal.SIGTERM, lambda number, frame: ended.put(None))  # noqa: ARG005
    harness = Harness(lambda: ended.put(None))
    try:
        grader = Grader(config, harness)
    except LogError as error:
        sys.stderr.write(f"{error}\n")
        return BROKEN_LOG
    server = Server(listener, grader)
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    harness.listen()
    harness.tell("ready")
    ended.get()
    server.shutdown()
    grader.close()
    if len(arguments) > 1:
        shutil.rmtree(arguments[2], ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
