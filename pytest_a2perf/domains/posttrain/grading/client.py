"""The harness's side of the grading service: starts it, watches it, and measures what decides."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self

from pytest_a2perf.domains.posttrain.errors import SandboxError
from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.grading.artefact import digest_of
from pytest_a2perf.domains.posttrain.grading.book import best_of
from pytest_a2perf.domains.posttrain.grading.config import BROKEN_LOG, Config
from pytest_a2perf.domains.posttrain.grading.evaluation import EvaluationError
from pytest_a2perf.domains.posttrain.grading.log import Head, Log, LogError, read_submissions
from pytest_a2perf.domains.posttrain.grading.repeats import measure
from pytest_a2perf.domains.posttrain.grading.sockets import listen
from pytest_a2perf.domains.posttrain.grading.submission import Score, Submission
from pytest_a2perf.domains.posttrain.tasks.base import Split
from pytest_a2perf.errors import InfraError

__all__ = ["GradingService", "Moment"]

Moment = Callable[[str], tuple[float, str]]
"""Given the message of a commit (empty: make none), returns the CPU seconds that the agent has
used and the commit of the workspace. It is called in a thread of the service's."""

_STARTING = 60.0
_STOPPING = 20.0
_RESTARTS = 50  # of a service that ends unasked
_TAIL = 2000


class GradingService:
    """A grading service that runs; use it as a context manager, or `start` and `stop` it.

    The socket is the harness's own: requests that come while the service is started again wait.
    When the harness dies, so does the service, and with it everything that it has started.

    Args:
        config: see `Config`; the service itself is told nothing of the private split.
        moment: see `Moment`; None: submissions have neither commit nor CPU seconds.

    Attributes:
        files: of the run.
        notes: what went wrong, as (seconds by the wall, kind, text); kind is ``evaluation failed``,
            ``grader broken``, or ``grader restarted``.
        restarts: how often the service ended unasked.
    """

    def __init__(self, config: Config, moment: Moment | None = None) -> None:
        self.files = RunFiles(config.root)
        self.notes: list[tuple[float, str, str]] = []
        self.restarts = 0
        self._config = config
        self._moment = moment or (lambda message: (0.0, ""))  # noqa: ARG005
        self._head = Head()
        self._paused = config.paused
        self._since: float | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._broken = ""
        self._stopping = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the service, and wait until it answers.

        Raises:
            InfraError: it does not start; the message has what it says.
        """
        self.files.grading.mkdir(parents=True, exist_ok=True)
        # Folders of boxes go there, so that none is left when the service is killed.
        self._listener = listen(self.files.socket)
        self._temporary = Path(tempfile.mkdtemp(prefix="a2perf-grader-"))
        self._spawn()
        self._watcher = threading.Thread(target=self._watch, name="grading service", daemon=True)
        self._watcher.start()
        until = monotonic() + _STARTING
        while not self._ready.wait(0.05):
            if self._broken or monotonic() > until:
                self.stop()
                raise SandboxError(f"the grading service does not start: {self._broken or 'time'}")

    def stop(self) -> None:
        """End the service and all that it has started; an evaluation under way is lost."""
        with self._lock:
            if self._stopping or self._process is None:
                return
            self._stopping = True
            process = self._process
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(_STOPPING)
        except subprocess.TimeoutExpired:
            process.kill()
        if self._watcher is not None:
            self._watcher.join(_STOPPING)
        self._listener.close()
        (self.files.socket / "grader.sock").unlink(missing_ok=True)
        shutil.rmtree(self._temporary, ignore_errors=True)

    @property
    def pid(self) -> int:
        """Of the service's process, now."""
        assert self._process is not None
        return self._process.pid

    @property
    def broken(self) -> str:
        """Why there is no service any more; empty while there is one."""
        return self._broken

    @property
    def paused(self) -> float:
        """Seconds for which the agent's clock has stood still; see `Config.patience`."""
        with self._lock:
            since = self._since
            total = self._paused + (0.0 if since is None else monotonic() - since)
        config = self._config
        most = config.timeout if config.patience is None else config.patience
        return total if most is None else min(total, most)

    def submissions(self) -> list[Submission]:
        """Return all submissions so far, from the log, which is verified.

        Raises:
            LogError: somebody has changed or shortened it.
        """
        with self._lock:
            head = self._head
        return read_submissions(self.files.submissions, head)

    def best(self) -> Submission | None:
        """Return the submission with the best public score; of equal ones, the first."""
        return best_of(self.submissions())

    def baseline(self, split: Split, repeats: int = 1) -> Score:
        """Evaluate the base model.

        Raises:
            InfraError: that fails.
        """
        assert self._config.base is not None
        try:
            return measure(self._config.plan, self._config.base, split, repeats)
        except EvaluationError as error:
            raise SandboxError(f"the base model: {error}: {error.detail}") from error

    def final(self, repeats: int = 1) -> Submission | None:
        """Measure the best submission by public score on the private split, and log it.

        Args:
            repeats: evaluations, each with a seed of its own.

        Returns:
            The submission with its private score, or without and with the reason if the evaluation
            failed by its fault; None if none has a score.

        Raises:
            InfraError: the service still runs, the log or the kept copy was changed, or there is
                no sandbox.
        """
        if self._process is not None and self._process.poll() is None:
            raise SandboxError("the grading service still runs: stop it before the final score")
        best = self.best()
        if best is None:
            return None
        kept = self.files.grading / "artefacts" / best.artefact
        if digest_of(kept)[0] != best.artefact:
            raise LogError(f"{kept}: is not what was submitted: somebody has changed it")
        try:
            done = replace(best, private=measure(self._config.plan, kept, "private", repeats))
        except EvaluationError as error:
            self._noted("evaluation failed", f"private: {error}\n{error.detail}")
            done = replace(best, reason=f"private split: {error}")
        log = Log(self.files.submissions)
        log.append(done.to_json())
        self._head = log.head
        log.close()
        return done

    def _spawn(self) -> None:
        public = {"public": self._config.plan.requests.get("public", {})}
        config = replace(
            self._config, plan=replace(self._config.plan, requests=public), paused=self._paused
        )
        path = self.files.grading / "service.json"
        path.write_text(config.to_json(), encoding="utf-8")
        descriptor = self._listener.fileno()
        with (self.files.grading / "service.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [
                    *(sys.executable, "-P", "-m", "pytest_a2perf.domains.posttrain.grading"),
                    *(str(path), str(descriptor), str(self._temporary)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=(descriptor,),
                start_new_session=True,
            )

    def _watch(self) -> None:
        """Follow what the service tells, and start it again when it ends unasked."""
        while True:
            process = self._process
            assert process is not None
            assert process.stdout is not None
            assert process.stdin is not None
            for line in process.stdout:
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    self._heard(json.loads(line), process)
            status = process.wait()
            process.stdout.close()
            with contextlib.suppress(OSError):
                process.stdin.close()
            with self._lock:
                if self._since is not None:
                    self._paused += monotonic() - self._since
                    self._since = None
                if self._stopping:
                    return
                self.restarts += 1
                if status == BROKEN_LOG or self.restarts > _RESTARTS or not self._ready.is_set():
                    self._broken = f"exit status {status}: {self._said()}"
                    self._listener.close()
                    return
            self._noted("grader restarted", f"it ended with exit status {status}")
            sleep(min(2.0, 0.05 * self.restarts))
            with self._lock:
                if self._stopping:
                    return
                try:
                    self._spawn()
                except OSError as error:
                    self._broken = f"cannot be started: {error}"
                    self._listener.close()
                    return

    def _heard(self, event: dict[str, Any], process: subprocess.Popen[bytes]) -> None:
        kind = event["event"]
        if kind == "ready":
            self._ready.set()
        elif kind == "pause":
            with self._lock:
                self._paused, self._since = event["paused"], event["since"]
        elif kind == "logged":
            with self._lock:
                self._head = Head(event["lines"], event["hash"])
        elif kind == "note":
            self._noted(event["kind"], event["text"])
        elif kind == "moment":
            cpu, commit = self._asked(event["message"])
            answer = json.dumps({"id": event["id"], "cpu": cpu, "commit": commit})
            assert process.stdin is not None
            with contextlib.suppress(OSError, ValueError):
                process.stdin.write(answer.encode() + b"\n")
                process.stdin.flush()

    def _asked(self, message: str) -> tuple[float, str]:
        try:
            return self._moment(message)
        except (OSError, ValueError, InfraError) as error:
            self._noted("grader broken", f"no commit: {error}")
            return 0.0, ""

    def _noted(self, kind: str, text: str) -> None:
        self.notes.append((monotonic() - self._config.started[1], kind, text))

    def _said(self) -> str:
        log = self.files.grading / "service.log"
        return log.read_bytes()[-_TAIL:].decode(errors="replace").strip()
