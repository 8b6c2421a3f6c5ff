"""The domain posttrain: what locking up, grading and recording an agent cost.

Training in a box against the same script in a bare process; a box that starts and ends against a
bare process; a revision of a workspace against git's own ``add`` and ``commit``; a submission from
its request to its score against its evaluation alone; the CPU time of watching an agent.
"""

from __future__ import annotations

import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from common import interleave, median_ratio, report

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from posttrain_grading_world import World  # noqa: E402 - a stand-in task, as the tests have it

from pytest_a2perf.domains.posttrain import nano  # noqa: E402
from pytest_a2perf.domains.posttrain.files import RunFiles  # noqa: E402
from pytest_a2perf.domains.posttrain.grading.repeats import measure  # noqa: E402
from pytest_a2perf.domains.posttrain.recording import Monitor, ShadowRepository  # noqa: E402
from pytest_a2perf.domains.posttrain.sandbox.ladder import choose, probe  # noqa: E402
from pytest_a2perf.domains.posttrain.sandbox.spec import Box, Limits, Mount  # noqa: E402

ROUNDS = 7
TRAINING = """
import torch, time
torch.set_num_threads(1)
from nano.model import Config, NanoLM
from nano.sft import SftOptions, sft
texts = [("abcdefgh", "hgfedcba")] * 64
begun = time.process_time()
model = NanoLM(Config("abcdefgh\\n", width=64, layers=1, heads=4, context=24))
sft(model, texts, SftOptions(steps=150))
print(time.process_time() - begun)
"""


def box_of(name: str, command: list[str], folder: Path, mounts: tuple[Mount, ...] = ()) -> str:
    """Run a command in a box and return what it printed."""
    limits = Limits(memory=2 << 30, processes=64, disk=1 << 28, wall=300.0)
    env = {"PYTHONPATH": "/toolkit", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile(dir=folder) as output:
        running = choose(name).start(Box(command, mounts, env, limits=limits), output)
        status = running.wait(300.0)
        output.seek(0)
        said = output.read().decode()
        if status != 0:
            sys.exit(f"{' '.join(command)[:60]} in {name}: status {status}: {said}")
        return said


def bare(command: list[str]) -> str:
    """Run a command as it is and return what it printed."""
    env = {"PYTHONPATH": str(Path(nano.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


def timed(do: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


def boxes(folder: Path) -> list[dict[str, object]]:
    """Measure starting a box, and training in one."""
    results = []
    script = [sys.executable, "-c", TRAINING]
    shutil.copytree(Path(nano.__file__).parent, folder / "toolkit" / "nano")
    toolkit = (Mount(folder / "toolkit", "/toolkit"),)
    for name in ("bubblewrap", "landlock"):
        if not probe(name).works:
            continue
        start = interleave(
            20,
            {
                "box": lambda name=name: timed(lambda: box_of(name, ["true"], folder)),
                "bare": lambda: timed(lambda: bare(["true"])),
            },
        )
        bare_ms = 1e3 * statistics.median(start["bare"])
        results.append(
            report(
                f"posttrain: a box of {name}, from start to end",
                1e3 * statistics.median(start["box"]),
                "ms",
                "none",
                f"a bare process takes {bare_ms:.1f} ms; limits, watchdog and clean-up included",
            )
        )
        trained = interleave(
            ROUNDS,
            {
                "box": lambda name=name: float(box_of(name, script, folder, toolkit)),
                "bare": lambda: float(bare(script)),
            },
        )
        seconds = statistics.median(trained["bare"])
        results.append(
            report(
                f"posttrain: training in {name} over a bare process",
                median_ratio(trained["box"], trained["bare"]),
                "x CPU",
                "none",
                f"150 updates of a tiny model, bare {seconds:.2f} s CPU; {ROUNDS} rounds",
            )
        )
    return results


def revisions(folder: Path) -> dict[str, object]:
    """Measure a commit of a workspace with 30 files, one of which has changed."""
    workspace = folder / "workspace"
    workspace.mkdir()
    for number in range(30):
        (workspace / f"code{number}.py").write_text(f"number = {number}\n" * 200)
    shadow = ShadowRepository(folder / "shadow.git", workspace)
    git = ["git", f"--git-dir={folder / 'own.git'}", f"--work-tree={workspace}"]
    who = ["-c", "user.name=x", "-c", "user.email=x@x"]
    subprocess.run([*git, "init", "-q"], check=True)

    def changed(commit: Callable[[], object]) -> float:
        (workspace / "code0.py").write_text(f"now = {time.time()}\n")
        return timed(commit)

    def own() -> None:
        subprocess.run([*git, "add", "-A"], check=True, cwd=workspace)
        subprocess.run([*git, *who, "commit", "-qm", "x"], check=True, cwd=workspace)

    times = interleave(
        20,
        {
            "ours": lambda: changed(lambda: shadow.commit("x")),
            "git": lambda: changed(own),
        },
    )
    git_ms = 1e3 * statistics.median(times["git"])
    return report(
        "posttrain: a revision of the workspace",
        1e3 * statistics.median(times["ours"]),
        "ms",
        "none",
        f"30 files, one changed; git's add and commit, which agents could mislead: {git_ms:.0f} ms",
    )


def submissions(folder: Path) -> dict[str, object]:
    """Measure a submission, from the request to the score."""
    folder.mkdir()
    sandbox = "bubblewrap" if probe("bubblewrap").works else "none"
    world = World(folder, place={"sandbox": sandbox})
    count = iter(range(10**6))

    def submit() -> float:
        number = next(count)
        path = world.model(f"v{number}", 0.6, seed=number)
        return timed(lambda: world.submit(path))

    with world.service(lambda _: (0.0, "")):
        evaluate = partial(measure, world.config.plan, world.base, "public")
        times = interleave(20, {"ours": submit, "evaluation": lambda: timed(evaluate)})
    alone = 1e3 * statistics.median(times["evaluation"])
    return report(
        "posttrain: a submission over its evaluation alone",
        median_ratio(times["ours"], times["evaluation"]),
        "x",
        "none",
        f"stand-in evaluator, {alone:.0f} ms in {sandbox}; copy, hash, checks, log with fsync",
    )


def watching(folder: Path) -> dict[str, object]:
    """Measure the harness's CPU time while an agent does nothing for five seconds."""
    folder.mkdir()
    files = RunFiles(folder)
    files.workspace.mkdir()
    name = "bubblewrap" if probe("bubblewrap").works else "landlock"
    with tempfile.TemporaryFile() as output:
        running = choose(name).start(Box(["sleep", "60"]), output)
        before = resource.getrusage(resource.RUSAGE_SELF)
        with Monitor(files, running):
            time.sleep(5.0)
        after = resource.getrusage(resource.RUSAGE_SELF)
        running.stop(0)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    lines = len(files.process.read_text().splitlines())
    return report(
        "posttrain: watching an agent",
        1e3 * spent / 5.0,
        "ms CPU a second",
        "none",
        f"{lines} samples of CPU, memory, processes, disk and energy",
    )


def main() -> list[dict[str, object]]:
    """Run all of it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        return [
            *boxes(root),
            revisions(root),
            submissions(root / "graded"),
            watching(root / "watched"),
        ]


if __name__ == "__main__":
    main()
