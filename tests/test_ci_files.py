"""The files in docs/ci: their commands exist, and their shards make up the whole."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_a2perf.__main__ import main
from pytest_a2perf.options import _OPTIONS
from pytest_a2perf.scheduling.shards import Shard, parse_shard

FOLDER = Path(__file__).parent.parent / "docs" / "ci"
FILES = sorted(FOLDER.iterdir())
COMMAND = re.compile(r"python -m pytest_a2perf (\w+)(.*)|(?:python -m )?\bpytest --a2perf (.*)")


def documents(name):
    return list(pytest.importorskip("yaml").safe_load_all((FOLDER / name).read_text()))


def text(path):
    """The file without comments and with continued lines joined."""
    lines = path.read_text().replace("\\\n", " ").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def test_all_files_are_known():
    names = ["github-actions.yml", "gitlab-ci.yml", "kubernetes-job.yaml", "slurm-submit.sh", "slurm.sbatch"]  # fmt: skip
    assert [path.name for path in FILES] == names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_commands_and_options_exist(path, capsys):
    commands = COMMAND.findall(text(path))
    assert commands
    known = {f"--{name}" for name, *_ in _OPTIONS}
    for command, *arguments in commands:
        assert {*re.findall(r"--a2perf[\w-]*", " ".join(arguments))} <= known
        if command:
            with pytest.raises(SystemExit) as exit_:
                main([command, "--help"])
            assert exit_.value.code == 0
    assert len(path.read_text().splitlines()) <= 50


@pytest.mark.parametrize("path", [path for path in FILES if "slurm" in path.name], ids=lambda path: path.name)  # fmt: skip
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_scripts_parse(path):
    subprocess.run(["bash", "-n", str(path)], check=True)


def whole(environments):
    shards = [parse_shard("auto", environment) for environment in environments]
    return shards == [Shard(index + 1, len(shards)) for index in range(len(shards))]


def test_slurm_shards_make_up_the_whole():
    script = text(FOLDER / "slurm.sbatch")
    first, last = map(
        int, re.search(r"--array=(\d+)-(\d+)", (FOLDER / "slurm.sbatch").read_text()).groups()
    )
    assert "--a2perf-shard auto" in script
    bounds = {"SLURM_ARRAY_TASK_MIN": str(first), "SLURM_ARRAY_TASK_MAX": str(last)}
    assert whole(
        {**bounds, "SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": str(last - first + 1)}
        for task in range(first, last + 1)
    )  # fmt: skip
    submit = text(FOLDER / "slurm-submit.sh")
    assert '--a2perf-dir "$A2PERF_FOLDER"' in script
    assert 'A2PERF_FOLDER="$folder"' in submit
    assert "merge '$folder'" in submit


def test_github_shards_make_up_the_whole():
    (workflow,) = documents("github-actions.yml")
    jobs = workflow["jobs"]
    trials, verdict = jobs["trials"], jobs["verdict"]
    shards = trials["strategy"]["matrix"]["shard"]
    assert shards == list(range(1, len(shards) + 1))
    assert list(trials["strategy"]["matrix"]) == ["shard"]  # job-total counts all combinations
    command = next(step["run"] for step in trials["steps"] if "--a2perf-shard" in step.get("run", ""))  # fmt: skip
    assert command.endswith("${{ matrix.shard }}/${{ strategy.job-total }}")
    assert (verdict["needs"], verdict["if"]) == ("trials", "always()")
    upload = next(s for s in trials["steps"] if "upload-artifact" in s.get("uses", ""))
    assert upload["if"] == "always()"
    assert upload["with"]["include-hidden-files"] is True
    download = next(s for s in verdict["steps"] if "download-artifact" in s.get("uses", ""))
    prefix = download["with"]["pattern"].removesuffix("*")
    assert upload["with"]["name"] == prefix + "${{ matrix.shard }}"
    merge = next(step["run"] for step in verdict["steps"] if " merge " in step.get("run", ""))
    assert f" merge {download['with']['path']} " in merge


def test_gitlab_shards_make_up_the_whole():
    (pipeline,) = documents("gitlab-ci.yml")
    trials, verdict = pipeline["trials"], pipeline["verdict"]
    count = trials["parallel"]
    assert any("--a2perf-shard auto" in line for line in trials["script"])
    assert whole(
        {"CI_NODE_INDEX": str(node), "CI_NODE_TOTAL": str(count)} for node in range(1, count + 1)
    )
    assert {job["stage"] for job in (pipeline["durations"], trials, verdict)} == {
        *pipeline["stages"]
    }
    assert (verdict["needs"], verdict["when"]) == (["trials"], "always")
    (path,) = trials["artifacts"]["paths"]
    assert any(f" merge {path.removesuffix('/')} " in line for line in verdict["script"])
    report = verdict["artifacts"]["reports"]["junit"]
    assert any(line.endswith(f"--junitxml {report}") for line in verdict["script"])


def test_kubernetes_shards_make_up_the_whole():
    trials, verdict = documents("kubernetes-job.yaml")
    spec = trials["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert spec["completionMode"] == "Indexed"
    assert whole(
        {"JOB_COMPLETION_INDEX": str(index), **environment} for index in range(spec["completions"])
    )
    folder = re.search(r"--a2perf-dir (\S+)", container["command"][-1])[1]
    (merging,) = verdict["spec"]["template"]["spec"]["containers"]
    assert f" merge {folder} " in merging["command"][-1]
    assert verdict["spec"]["suspend"] is True
