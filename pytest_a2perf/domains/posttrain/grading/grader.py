"""The grader: takes submissions, has them evaluated one by one, and tells public scores."""

from __future__ import annotations

import contextlib
import shutil
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.grading.admission import Admission
from pytest_a2perf.domains.posttrain.grading.answers import Answers
from pytest_a2perf.domains.posttrain.grading.artefact import Artefact, relative_path, take, validate
from pytest_a2perf.domains.posttrain.grading.book import Book, Taken
from pytest_a2perf.domains.posttrain.grading.clock import Clock
from pytest_a2perf.domains.posttrain.grading.config import Config
from pytest_a2perf.domains.posttrain.grading.copies import write_copy
from pytest_a2perf.domains.posttrain.grading.evaluation import Evaluator
from pytest_a2perf.domains.posttrain.grading.harness import Harness
from pytest_a2perf.domains.posttrain.grading.judge import UNFIT, Judge
from pytest_a2perf.domains.posttrain.grading.refusal import Refused
from pytest_a2perf.domains.posttrain.grading.submission import Submission
from pytest_a2perf.domains.posttrain.grading.task_service import TaskService

__all__ = ["Grader"]

_LOOK = 0.25  # seconds between looks at whether who waits is still there
_WRITING = 5  # attempts to write a score down, a second apart


class Grader:
    """All that the service does, whatever it is asked through.

    Args:
        config: see `Config`.
        harness: see `Harness`.

    Raises:
        LogError: the log of an earlier process is broken.
        OSError: it cannot be opened.
    """

    def __init__(self, config: Config, harness: Harness) -> None:
        self._config = config
        self._harness = harness
        self._files = RunFiles(config.root)
        self._kept = self._files.grading / "artefacts"
        for draft in self._kept.glob(".draft-*"):
            shutil.rmtree(draft, ignore_errors=True)
        patience = config.timeout if config.patience is None else config.patience
        self._clock = Clock(
            config.started[1],
            config.paused,
            patience,
            lambda paused, since: harness.tell("pause", paused=paused, since=since),
        )
        self._book = Book(self._files)
        for number in self._book.taken:
            self._book.note("interrupted", number=number, clock=self._clock.clock)
        self._evaluator = Evaluator(config.plan)
        self._judge = Judge(self._evaluator, config.base, config.items, self._note)
        self._admission = Admission(config)
        self._answers = Answers(config, self._book, self._clock)
        self._changed = threading.Condition()
        self._copying = threading.Lock()
        self._closing = False
        self._seen: set[str] = set()
        self._services: TaskService | None = None
        if config.service:
            place = config.plan.place  # with the limits of one evaluation, which do not fit here
            limits = replace(place.limits, wall=None, cpu=None)
            self._services = TaskService(
                replace(place, limits=limits),
                config.service,
                config.calls,
                self._files.calls,
                lambda: (self._clock.at, self._clock.clock),
            )
        self._worker = threading.Thread(target=self._work, name="evaluations", daemon=True)
        self._worker.start()

    def submit(self, body: dict[str, Any], gone: Callable[[], bool]) -> tuple[int, dict[str, Any]]:
        """Take a submission; wait for its score unless the body's ``wait`` is false.

        Args:
            body: of the request.
            gone: returns whether who asked does not wait any more.

        Returns:
            Status of HTTP and the answer.

        Raises:
            Refused: it is not taken, or not accepted.
        """
        path = relative_path(body.get("model_path"), self._answers.roots)
        gpu = self._answers.gpu(body.get("gpu"))
        if body.get("wait", True) is False:
            return self.find(self._take(path, gpu))
        with self._clock.standing():
            number = self._take(path, gpu)
            with self._changed:
                while number in self._book.taken and not self._closing and not gone():
                    self._changed.wait(_LOOK)
        return self.find(number)

    def find(self, number: int) -> tuple[int, dict[str, Any]]:
        """Return what became of a submission.

        Raises:
            Refused: there is none of that number.
        """
        with self._changed:
            if number in self._book.taken:
                return 202, self._answers.queued(number)
            if number not in self._book.submissions:
                raise Refused(f"there is no submission {number}, or it could not be kept", 404)
            return self._answers.finished(self._book.submissions[number])

    def look(self, what: str) -> dict[str, Any]:
        """Return ``health``, ``time``, ``history`` or ``best``."""
        cpu = self._harness.moment("")[0] if what == "time" else 0.0
        with self._changed:
            if what == "health":
                calls = None if self._services is None else self._services.left
                return self._answers.health(calls)
            if what == "time":
                return self._answers.time(cpu)
            return self._answers.history() if what == "history" else self._answers.best()

    def call(self, service: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask a service of the task.

        Raises:
            Refused: there is none, or see `TaskService`.
        """
        if self._services is None or service not in self._config.services:
            raise Refused("there is no such thing here", 404)
        return self._services.call(service, body)

    def saw(self, kind: str, text: str) -> None:
        """Write down what somebody tried, once."""
        with self._changed:
            new = text not in self._seen
            self._seen.add(text)
        if new:
            self._note(kind, text)

    def close(self) -> None:
        """End what is under way; a submission that is being evaluated stays taken."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        while self._worker.is_alive():
            self._evaluator.cancel()
            self._worker.join(_LOOK)
        if self._services is not None:
            self._services.close()
        with self._changed:
            self._book.close()

    def _take(self, path: PurePosixPath, gpu: str) -> int:
        """Copy and check a submission, and put it into the queue; return its number."""
        with self._changed:
            if self._closing:
                raise Refused("the grader is ending", 503)
            last = self._book.last
            idle = None if last is None else self._clock.clock - last
            self._admission.enter(self._book.used(), len(self._book.taken), idle)
            number = self._book.next_number()
        at, clock, artefact = self._clock.at, self._clock.clock, None
        refusal, moment = None, (0.0, "")
        try:
            moment = self._harness.moment(f"submission {number}: {path}")
            artefact = self._copied(path)
            validate(artefact, self._config.base)
        except Refused as error:
            refusal = error
        except Exception as error:  # noqa: BLE001 - the place must be given back, whatever happens
            self._note("grader broken", f"copying {path}: {error!r}")
            refusal = Refused("the grader cannot keep it now; it does not count", 503)
        digest, size = (artefact.digest, artefact.size) if artefact else ("", 0)
        taken = Taken(number, at, clock, str(path), digest, size, moment[1], moment[0], gpu)
        with self._changed:
            self._admission.reserved -= 1
            try:
                self._enter(taken, refusal)
            except OSError as error:
                self._note("grader broken", f"log: {error}")
                raise Refused("the grader cannot keep it now; it does not count", 503) from error
            self._changed.notify_all()
        return number

    def _copied(self, path: PurePosixPath) -> Artefact:
        if path.parts[:2] == ("models", self._config.base_name):
            raise Refused("this is the base model", 409)
        with self._copying:
            return take(self._files.workspace, path, self._kept, self._config.rules)

    def _enter(self, taken: Taken, refusal: Refused | None) -> None:
        """Write down what was taken: to wait, or with its end; the lock is held."""
        if refusal is not None:
            self._answers.codes[taken.number] = refusal.status
            self._finish(replace(_submission(taken), status="rejected", reason=str(refusal)))
            return
        first = self._book.scored(taken.artefact)
        if first is None:
            self._book.take(taken)
        else:
            self._finish(_submission(taken, first))

    def _work(self) -> None:
        """Evaluate what waits, in order, until the end."""
        while True:
            with self._changed:
                while not self._book.taken and not self._closing:
                    self._changed.wait()
                if self._closing:
                    return
                taken = self._book.taken[min(self._book.taken)]
            done = self._evaluated(taken)
            with self._changed:
                if self._closing and done.status != "scored":
                    return
                self._write_down(done)

    def _evaluated(self, taken: Taken) -> Submission:
        with self._changed:
            first = self._book.scored(taken.artefact)
        if first is not None:
            return _submission(taken, first)
        folder = self._kept / taken.artefact
        try:
            status, reason, score = self._judge.evaluate(folder, taken.gpu)
        except Exception:  # noqa: BLE001 - whatever happens, those that wait must be told
            self._note("grader broken", traceback.format_exc())
            status, reason, score = "rejected", UNFIT, None
        return replace(_submission(taken), status=status, reason=reason, public=score)

    def _write_down(self, done: Submission) -> None:
        """Write a submission down before anybody is told; a disk that refuses has a few chances."""
        if done.status == "rejected":
            self._answers.codes[done.number] = 400 if done.reason != UNFIT else 503
        for _ in range(_WRITING):
            try:
                if not done.repeated:
                    self._book.note("evaluated", number=done.number, clock=self._clock.clock)
                self._finish(done)
            except OSError as error:
                self._harness.tell("note", kind="grader broken", text=f"log: {error}")
                self._changed.wait(1.0)
            else:
                return
        self._book.taken.pop(done.number, None)

    def _finish(self, done: Submission) -> None:
        """Log a submission, and tell everybody; the lock is held."""
        self._book.add(done)
        head = self._book.head
        self._harness.tell("logged", number=done.number, lines=head.lines, hash=head.hash)
        with contextlib.suppress(OSError):
            self._prune()
        write_copy(self._files.workspace, "scores.json", self._answers.scores())
        self._changed.notify_all()

    def _prune(self) -> None:
        """Remove copies that nothing needs, the oldest first, once they take too much room."""
        best = self._book.best()
        needed = {taken.artefact for taken in self._book.taken.values()}
        needed.add(best.artefact if best else "")
        sizes = {one.artefact: one.size for one in self._book.submissions.values() if one.artefact}
        spare = [name for name in sizes if name not in needed and (self._kept / name).is_dir()]
        room = sum(sizes[name] for name in spare)
        for name in spare:
            if room <= self._config.keep:
                break
            _remove(self._kept / name)
            room -= sizes[name]

    def _note(self, kind: str, text: str) -> None:
        self._harness.tell("note", kind=kind, text=text)
        with self._changed, contextlib.suppress(OSError):
            self._book.note(kind, text=text[:10_000], clock=self._clock.clock)


def _submission(taken: Taken, first: Submission | None = None) -> Submission:
    """Return the submission that a taken one becomes, with the score of an earlier one if given."""
    return Submission(
        number=taken.number,
        at=taken.at,
        clock=taken.clock,
        path=taken.path,
        artefact=taken.artefact,
        size=taken.size,
        status="scored",
        public=first.public if first else None,
        commit=taken.commit,
        cpu=taken.cpu,
        repeated=first.number if first else 0,
    )


def _remove(folder: Path) -> None:
    for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        path.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)
