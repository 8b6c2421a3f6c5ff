"""A whole run with a stand-in task: workspace, grading service and an agent in a real sandbox."""

from __future__ import annotations

import contextlib
import json
import textwrap
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from posttrain_boxes import sandbox as sandbox_of
from posttrain_grading_world import EVALUATOR, ITEMS, World, weights

from pytest_a2perf.domains.posttrain.agents import Agent, Surroundings, prepare, resolve_agent
from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.grading.client import GradingService
from pytest_a2perf.domains.posttrain.grading.config import Config, Place, Plan
from pytest_a2perf.domains.posttrain.grading.submission import Submission
from pytest_a2perf.domains.posttrain.info import RunInfo
from pytest_a2perf.domains.posttrain.sandbox.spec import Limits, Mount
from pytest_a2perf.domains.posttrain.session import NoGrading, run_agent
from pytest_a2perf.domains.posttrain.tasks.base import Budget, Materials
from pytest_a2perf.domains.posttrain.workspace import agent_box, agent_env, build_workspace

BUDGET = Budget(cpu=20.0, wall=60.0, submissions=20, processes=64, disk=200 << 20)
ENOUGH = replace(BUDGET, cpu=100.0, wall=600.0)  # also on a slow machine

# Trains, as it were: its model's score is 80.
TRAIN = """
import json, os, shutil, struct, sys
from pathlib import Path

def train(share, name="v1"):
    folder = Path(os.environ["OUTPUT_DIR"], name)
    folder.mkdir(parents=True, exist_ok=True)
    raw = Path(os.environ["MODEL_PATH"], "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    (folder / "model.safetensors").write_bytes(raw[:start] + struct.pack("<f", share) + raw[start + 4:])
    shutil.copyfile(Path(os.environ["MODEL_PATH"], "config.json"), folder / "config.json")
    return folder
"""


def make_materials(folder: Path, **changes: Any) -> Materials:
    """Make a stand-in task's files; the base model's score is 50."""
    base = World.write(folder / "base", weights(0.5))
    visible, hidden, toolkit = folder / "visible", folder / "secret", folder / "toolkit"
    for made in (visible, hidden, toolkit):
        made.mkdir()
    (visible / "train.jsonl").write_text('{"question": "1+1", "answer": "2"}\n')
    (visible / "demonstrations.jsonl").write_text('{"say": "2"}\n')
    (visible / "rewards").mkdir()
    (visible / "rewards" / "verifier.py").write_text("right = 2\n")
    for split in ("public", "private"):
        (hidden / f"{split}.json").write_text(f'["the {split} answers"]')
    (toolkit / "handy.py").write_text("ANSWER = 42\n")
    (toolkit / "training.py").write_text(TRAIN)
    made = Materials(base, "base", visible, hidden, "Add numbers.", toolkit, "digest")
    return (
        made
        if not changes
        else Materials(**{**{name: getattr(made, name) for name in made.__slots__}, **changes})
    )


@dataclass
class Ran:
    """What came of a run."""

    info: RunInfo
    log: str
    submissions: list[Submission]
    workspace: Path
    files: RunFiles

    @property
    def scores(self) -> list[float]:
        return [one.public.value for one in self.submissions if one.public]

    @property
    def events(self) -> str:
        return "\n".join(text for _, text in self.info.events)


@dataclass
class Desk:
    """Runs agents below a folder.

    Attributes:
        folder: of the test.
        sandbox: name.
        budget: of the agents.
    """

    folder: Path
    sandbox: str = "bubblewrap"
    budget: Budget = ENOUGH
    mode: Any = "free"
    env: dict[str, str] = field(default_factory=dict)
    pass_env: tuple[str, ...] = ()
    grace: float = 2.0
    started: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        self.box_in = sandbox_of(self.sandbox)
        self.materials = make_materials(self.folder)
        self.files = RunFiles(self.folder / "run")

    def agent(self, script: str, name: str = "start.sh", **files: str) -> Agent:
        """Write an agent's folder and resolve it."""
        folder = self.folder / "agents" / "mine"
        folder.mkdir(parents=True)
        (folder / name).write_text(textwrap.dedent(script))
        for file, text in files.items():
            (folder / file.replace("__", ".")).write_text(textwrap.dedent(text))
        return self.resolve("agents/mine")

    def resolve(self, spec: str, **options: Any) -> Agent:
        return resolve_agent(spec, options, Surroundings(self.folder, "stand-in", self.pass_env))

    def run(self, agent: Agent | str, *, graded: bool = True, **more: Any) -> Ran:
        """Run an agent, or a shell script, to its end; a script beside no grading service."""
        graded = graded and not isinstance(agent, str)
        agent = self.agent(agent) if isinstance(agent, str) else agent
        with self.service() if graded else self.no_service() as service:
            info = self.session(agent, service, **more)
            return Ran(
                info,
                self.files.output.read_text(errors="replace"),
                service.submissions(),
                self.files.workspace,
                self.files,
            )

    def session(self, agent: Agent, service: Any, **more: Any) -> RunInfo:
        """Build all there is to build, and run an agent beside a service."""
        self.started = self.started if self.started[0] else (time.time(), time.monotonic())
        self.build()
        agent = prepare(agent, self.files)
        env = agent_env(
            "stand-in",
            base_name="base",
            budget=self.budget,
            seed=7,
            pass_env=self.pass_env,
            defaults=agent.env,
            given=self.env,
            path=agent.path,
        )
        box = agent_box(
            self.files, self.materials, agent.command, env, self.budget, mounts=agent.mounts
        )
        info = RunInfo("stand-in", 1, "nothing", "share", 0.0, agent.name)
        run_agent(
            self.box_in,
            box,
            self.files,
            self.budget,
            info,
            grading=service,
            started=self.started,
            grace=self.grace,
            **more,
        )
        assert RunInfo.read(self.files.about).ended == info.ended
        return info

    def build(self) -> None:
        build_workspace(
            self.files,
            self.materials,
            task_name="stand-in",
            budget=self.budget,
            mode=self.mode,
            mounted=self.sandbox not in ("landlock", "none"),
        )

    @contextlib.contextmanager
    def no_service(self):
        """Make the folder where the socket would be; whoever asks finds nobody."""
        self.files.socket.mkdir(parents=True)
        yield NoGrading()

    @contextlib.contextmanager
    def service(self):
        """Run a grading service with an evaluator that knows no model."""
        self.files.root.mkdir(exist_ok=True)
        self.started = (time.time(), time.monotonic())
        script = self.folder / "evaluator.py"
        script.write_text(EVALUATOR)
        place = Place("none", True, Limits(wall=60.0), (Mount(script, "/run/evaluator.py"),))
        plan = Plan(
            self.materials.hidden,
            {"public": {}, "private": {}},
            ("python3", "/run/evaluator.py"),
            place,
        )
        config = Config(
            root=self.files.root,
            plan=plan,
            task="stand-in",
            base=self.materials.base,
            base_name="base",
            baseline=50.0,
            items=ITEMS,
            started=self.started,
            timeout=self.budget.wall,
            cpu=self.budget.cpu,
            submissions=self.budget.submissions,
            per_minute=1000,
        )
        with GradingService(config) as service:
            yield service


def cheats(ran: Ran) -> list[dict[str, str]]:
    """What a cheater reports."""
    return json.loads((ran.workspace / "reports" / "cheats.json").read_text())
