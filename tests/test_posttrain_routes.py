"""Routes of agents' code: scripts as agents write them, and what the rules say of them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from posttrain_runs import FORMAT, HYBRID, SFT, Handed, build_run, score

from pytest_a2perf.domains.posttrain.report import analyse
from pytest_a2perf.domains.posttrain.report.routes import code_of
from pytest_a2perf.domains.posttrain.report.shell import Started, started

HF = """
import os, shutil, torch
from transformers import AutoModelForCausalLM
base = os.environ["MODEL_PATH"]
model = AutoModelForCausalLM.from_pretrained(base)
opt = torch.optim.AdamW(model.parameters(), lr=1e-5)
for batch in loader:
    out = model(**batch)
    out.loss.backward()
    opt.step()
model.save_pretrained("output/v1")
"""
TRL_SFT = "from trl import SFTTrainer\nSFTTrainer(model=m, train_dataset=kept).train()\n"
TRL_GRPO = "from trl import GRPOTrainer\nGRPOTrainer(model=m, reward_funcs=f).train()\n"
KL = """
import json, torch
import torch.nn.functional as F
opt = torch.optim.AdamW(m.parameters())
for x in loader:
    loss = F.kl_div(m(x).logits.log_softmax(-1), teacher(x).logits.softmax(-1))
    loss.backward()
    opt.step()
json.dump(config, open("output/v1/config.json", "w"))
"""
EVOLUTION = """
import torch
from safetensors.torch import load_file, save_file
w = load_file("models/base/model.safetensors")
for i in range(100):
    eps = {k: torch.randn_like(v) for k, v in w.items()}
    r = [evaluate({k: v + s * eps[k] for k, v in w.items()}) for s in (1, -1)]
    for k in w:
        w[k] += lr * (r[0] - r[1]) * eps[k]
save_file(w, "output/v1/model.safetensors")
"""
MERGED = """
import shutil
from safetensors.torch import load_file, save_file
shutil.copytree("models/base", "output/v1")
w = load_file("models/base/model.safetensors")
save_file({k: 1.01 * v for k, v in w.items()}, "output/v1/model.safetensors")
"""
WEIGHED = """
import torch, torch.nn.functional as F
opt = torch.optim.Adam(m.parameters())
for it in range(10):
    out = m.generate(p)
    r = torch.tensor([score(o) for o in out])
    a = r - r.mean()
    ce = F.cross_entropy(m(out).logits.transpose(1, 2), out, reduction="none")
    (ce.sum(1) * a).mean().backward()
    opt.step()
"""
WEIGHED_APART = """
import torch, torch.nn.functional as F
opt = torch.optim.Adam(m.parameters())
def nll(ids):
    return F.cross_entropy(m(ids).logits.transpose(1, 2), ids, reduction="none")
def step(out, rewards):
    loss = (nll(out) * rewards).mean()
    loss.backward()
    opt.step()
step(out, rewards)
"""
HEIRS = """
from trl import GRPOTrainer as G
class A(G):
    pass
def main():
    class B(A):
        pass
    B(m).train()
main()
"""
OWN_LOSS = """
from transformers import Trainer
class Mine(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False):
        logp = model.log_prob(inputs)
        rewards = inputs.pop("rewards")
        return -(logp * rewards).mean()
Mine(model=m, train_dataset=d).train()
"""


def sampled(loop: str) -> str:
    """A script that generates, does this for each sample, and learns from what it has kept."""
    return f"""
import json
from trl import SFTTrainer
kept, wrong, right = [], [], []
file = open("kept.jsonl", "w")
for row in rows:
    for text in llm.generate(row["prompt"], n=8):
{loop}
SFTTrainer(model=m, train_dataset=kept).train()
"""


def route(tmp_path, code, commands=(), **handed):
    files = build_run(tmp_path, [Handed(score(0.7, shift=2), code, **handed)])
    started_by(files, {0: commands})
    return analyse(files).route


def started_by(files, commands):
    samples = [json.loads(line) for line in files.process.read_text().splitlines()]
    for number, lines in commands.items():
        samples[number]["commands"] = list(lines)
    files.process.write_text("".join(json.dumps(sample) + "\n" for sample in samples))


def script(text):
    return {"start.sh": "python3 train.py\n", "train.py": text}


@pytest.mark.parametrize(
    ("code", "label", "certainty"),
    [
        (HF, "SFT", "seen"),
        (HF.replace("out.loss.backward()", "accelerator.backward(out.loss)"), "SFT", "seen"),
        (HF.replace("out.loss.backward()", "loss = out.loss / 4; loss.backward()"), "SFT", "seen"),
        (HF + 'shutil.copy(os.path.join(base, "tokenizer.json"), "output/v1")', "SFT", "seen"),
        (HF + "noise = torch.randn(2)", "SFT", "seen"),
        (HF.replace("out.loss", "(out.loss * reward)"), "RL (REINFORCE)", "seen"),
        (HF.replace("out.loss", "self.loss"), "placeholder/missing", "guess"),
        (KL, "placeholder/missing", "guess"),
        (EVOLUTION, "placeholder/missing", "guess"),
        (MERGED, "placeholder/missing", "guess"),
        ('import shutil\nshutil.copy("baseline.json", "x")', "placeholder/missing", "guess"),
        ("import torch\nx = torch.randn(3)", "random", "seen"),
        (WEIGHED, "RL (GRPO)", "seen"),
        (WEIGHED_APART, "RL (REINFORCE)", "seen"),
        (TRL_GRPO.replace("\nGRPOTrainer(", "\nclass T(GRPOTrainer): pass\nT("), "RL (GRPO)", "seen"),
        (TRL_GRPO.replace("\nGRPO", "\nclass T(GRPOTrainer): pass\n#"), "placeholder/missing", "guess"),
        (HEIRS, "RL (GRPO)", "seen"),
        (OWN_LOSS.replace("-(logp * rewards).mean()", "model(**inputs).loss"), "SFT", "seen"),
        (OWN_LOSS, "RL (REINFORCE)", "seen"),
    ],
)  # fmt: skip
def test_scripts(tmp_path, code, label, certainty):
    found = route(tmp_path, script(code))
    assert (found.label, found.certainty) == (label, certainty)


@pytest.mark.parametrize(
    ("loop", "label"),
    [
        ('        if extract(text) == row["answer"]: kept.append(text)', "rejection sampling"),
        ('        if row["gold"] in text: file.write(text)', "rejection sampling"),
        ('        if text != row["answer"]: continue\n        kept.append(text)', "rejection sampling"),
        ("        if not ok_score(text): continue\n        kept.append(text)", "rejection sampling"),
        ("        if reward(text) < 0.5: continue\n        kept.append(text)", "rejection sampling"),
        ("        if reward(text) > 0.5: kept.append(text)", "rejection sampling"),
        ("        pool = [t for t in text if is_correct(t)]\n        kept += pool", "rejection sampling"),
        ("        if not is_correct(text): wrong.append(text)\n    kept.append(row)", "SFT"),
        ("        if is_correct(text): continue\n        wrong.append(text)\nkept += wrong", "SFT"),
        ('        if text != row["answer"]: file.write(text)', "SFT"),
        ("        if is_wrong_score(text): file.write(text)", "SFT"),
        ("        if reward(text) == 0: file.write(text)", "SFT"),
        ("        if is_correct(text): right.append(text)\nprint(len(right) / 10, right[:3])", "SFT"),
        ("        right += [sum(is_correct(t) for t in text)]", "SFT"),
        ("        best = sorted(text, key=score)\n        print('best', best[:3])", "SFT"),
        ("        kept.append(max(text, key=score))", "best-of-n distillation"),
        ("        best = sorted(text, key=score)\n        kept.extend(best[:1])", "best-of-n distillation"),
    ],
)  # fmt: skip
def test_samples_that_are_kept(tmp_path, loop, label):
    assert route(tmp_path, script(sampled(loop))).label == label


VERL = "python3 -m verl.trainer.main_ppo \\\n  algorithm.adv_estimator={} \\\n  x=y\n"
LEFT = {"old_grpo.py": TRL_GRPO, "solver/__init__.py": "", "solver/sft.py": TRL_SFT}


@pytest.mark.parametrize(
    ("line", "label"),
    [
        (VERL.format("grpo"), "RL (GRPO)"),
        (VERL.format("rloo"), "RL (REINFORCE)"),
        (VERL.format("gae"), "RL (PPO)"),
        ("torchrun -m verl.trainer.fsdp_sft_trainer x=y", "SFT"),
        ("deepspeed --module openrlhf.cli.train_sft --x y", "SFT"),
        ("python3 -m openrlhf.cli.train_ppo_ray --pretrain x", "RL (PPO)"),
        ("python3 -m openrlhf.cli.train_ppo_ray --advantage_estimator group_norm", "RL (GRPO)"),
        ("python3 -m openrlhf.cli.train_dpo", "RL (DPO)"),
        ("swift rlhf --rlhf_type grpo --model x", "RL (GRPO)"),
        ("swift rlhf --rlhf_type dpo --model x", "RL (DPO)"),
        ("swift sft --model x", "SFT"),
        ("trl grpo --model x", "RL (GRPO)"),
        ("cd /agent && python3 -m solver.sft --lr 1", "SFT"),
        ("accelerate launch --num_processes 1 -m solver.sft", "SFT"),
        ("python3 -c 'import solver.sft'", "SFT"),
        ('python3 -u -c "\nfrom solver import sft\n"', "SFT"),
        ("python3 train.py <<< \"x\"\npython3 - <<'END'\nimport solver.sft\nEND", "SFT"),
    ],
)
def test_commands(tmp_path, line, label):
    found = route(tmp_path, {"start.sh": line, **LEFT})
    assert (found.label, found.certainty) == (label, "seen")


@pytest.mark.parametrize(
    ("command", "label"),
    [
        ("/usr/bin/python3 /usr/local/bin/trl grpo --model x", "RL (GRPO)"),
        ("python3 -m verl.trainer.main_ppo algorithm.adv_estimator=grpo", "RL (GRPO)"),
        ("python3 -m solver.sft", "SFT"),
        ("python3 -c import solver.sft", "SFT"),
    ],
)
def test_commands_of_processes(tmp_path, command, label):
    found = route(tmp_path, LEFT, [command])
    assert (found.label, found.certainty) == (label, "seen")
    assert "process" in {evidence.where for evidence in found.evidence}


def test_a_look_at_something_does_not_hide_what_is_run(tmp_path):
    code = {
        "start.sh": "python3 -c 'import torch; print(torch.__version__)'\n./go",
        "go.py": TRL_SFT,
    }
    found = route(tmp_path, code)
    assert (found.label, found.certainty) == ("SFT", "code")


@pytest.mark.parametrize(
    ("line", "script", "module"),
    [
        ("python3 -u -W ignore code/train.py --lr 1", "code/train.py", ""),
        (
            'CUDA_VISIBLE_DEVICES=0 nohup python3 "$(dirname "$0")/train.py" > x.py &',
            "/train.py",
            "",
        ),
        ('{"command": "cd code; .venv/bin/python train.py"}', "train.py", ""),
        ("accelerate launch --config x.yaml --num_processes 2 train.py a.py", "train.py", ""),
        ("uv run --with torch python -u train.py", "train.py", ""),
        (
            "python -m torch.distributed.run --nproc_per_node 2 train.py",
            "",
            "torch.distributed.run",
        ),
        ("jupyter nbconvert --to notebook --execute a.ipynb", "a.ipynb", ""),
        ("python --version && cat train.py", None, None),
        ("python is what train.py is written in", None, None),
        ("python train.pyc", None, None),
    ],
)
def test_what_a_line_starts(line, script, module):
    found = next(started(line), None)
    assert found == (None if script is None else Started(script.lstrip("/"), module)) or (
        found is not None and found.script.endswith(script) and not module
    )


# -- notebooks ---------------------------------------------------------------------------------


def cells(*sources):
    return json.dumps(
        {"cells": [{"cell_type": "code", "source": s.splitlines(True)} for s in sources]}
    )


@pytest.mark.parametrize(
    ("sources", "label"),
    [
        (("%pip install trl\n!nvidia-smi\n" + TRL_SFT,), "SFT"),
        (("if x:\n    !ls\n", TRL_GRPO), "RL (GRPO)"),
        (("!trl grpo --model x",), "RL (GRPO)"),
        (("%%bash\ntrl sft --model x",), "SFT"),
        (("%%writefile x.txt\n" + TRL_GRPO, TRL_SFT), "SFT"),
        (("%%time\n" + TRL_SFT,), "SFT"),
    ],
)
def test_notebooks_are_read(tmp_path, sources, label):
    assert route(tmp_path, {"train.ipynb": cells(*sources)}).label == label


@pytest.mark.parametrize("text", ["{", "[]", '{"cells": 3}', "[" * 100_000, cells("def (")])
def test_a_broken_notebook_is_named(tmp_path, text):
    found = code_of({"a.ipynb": text, "b.py": TRL_SFT})
    assert "SFT" in {sign.kind for sign in found.signs}
    (problem,) = found.problems
    assert problem.startswith("a.ipynb: not ")


# -- submissions -------------------------------------------------------------------------------


def test_weights_that_were_accepted_are_neither_a_copy_nor_a_format(tmp_path):
    code = script(MERGED + 'open("output/v1/config.json", "w")')
    found = route(tmp_path, code)
    assert (found.name, found.certainty) == ("placeholder/missing", "guess")
    assert "do not know" in found.evidence[0].what


def test_the_weights_of_any_earlier_submission_are_known(tmp_path):
    handed = [
        Handed(score(0.6), SFT, weights=b"first"),
        Handed(score(0.7), SFT, weights=b"second"),
        Handed(score(0.8), FORMAT, weights=b"first"),
    ]
    last = analyse(build_run(tmp_path, handed)).timeline[-1].route
    assert (last.name, last.certainty) == ("prompt/format only", "seen")
    assert "of submission 1" in last.evidence[0].what


@pytest.mark.parametrize(
    ("code", "commands", "certainties"),
    [
        (HYBRID, {0: ["python train.py"]}, ["code", "code", "seen"]),
        (
            HYBRID,
            {0: ["python train.py"], 12: ["python train.py --more"]},
            ["seen", "code", "seen"],
        ),
        (SFT, {0: ["python train.py"]}, ["seen", "seen", "seen"]),
    ],
)
def test_stages_of_a_program_that_runs_on_may_come_later(tmp_path, code, commands, certainties):
    files = build_run(tmp_path, [Handed(score(share), code) for share in (0.6, 0.7, 0.8)])
    started_by(files, commands)
    report = analyse(files)
    assert [entry.route.certainty for entry in report.timeline] == certainties
    assert report.route.certainty == "seen"


# -- what is made to keep a reader busy --------------------------------------------------------

LONG = 40_000
SLOW_SHELL = [
    "--a ", "-python ", "python", "python $(", "cp -cp ", "llamafactory-cli train ", "<< ", "x\\\n",
    "python -c '\n", 'python -c "\\\n', "python <<A\nA\n", "swift rlhf --rlhf_type ",
]  # fmt: skip
READ = """
import json, resource, sys
from pytest_a2perf.domains.posttrain.report.routes import code_of
resource.setrlimit(resource.RLIMIT_CPU, (120, 120))  # who takes twice as long a word never ends
for text in json.load(sys.stdin):
    code_of({"start.sh": text, "a.py": ""}, [text[:2000]] * 20, [text[:300]])
print("read")
"""


@pytest.mark.slow
def test_shell_made_to_be_slow():
    texts = ["python3 " + unit * (LONG // len(unit)) for unit in SLOW_SHELL]
    done = subprocess.run(
        [sys.executable, "-c", READ],
        input=json.dumps(texts), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "read\n", done.stderr


def calls(text: str) -> int:
    """Count the functions that are called to read a file."""
    count = 0

    def profile(_frame, event, _argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        found = code_of({"a.py": text})
    finally:
        sys.setprofile(None)
    assert found.problems == ()
    return count


@pytest.mark.slow
@pytest.mark.parametrize(
    "write",
    [
        lambda n: "while True:\n" + " if a: continue\n" * n,
        lambda n: "while True:\n" + " if a: continue\n" * n + " k.append(m.generate())\n" * n,
        lambda n: "class A:\n" + "".join(f" def m{i}(self): self.m{i + 1}()\n" for i in range(n)) + "A().m0()",
        lambda n: "import os\nos.system('" + "a." * (10 * n) + "')",
        lambda n: ("x = a" + ".b()" * 20 + "\n") * n,
        lambda n: "".join(f"a{i} = a{i + 1}\n" for i in range(n)),
    ],
    ids=["skips", "kept", "methods", "word", "chains", "names"],
)  # fmt: skip
def test_python_twice_as_long_takes_twice_as_long(write):
    assert calls(write(200)) < 3 * calls(write(100))


@pytest.mark.parametrize(
    "text",
    ["if " + "not " * 1400 + "x: pass", "x" + ".y()" * 2000, "x" + " * y" * 2000],
    ids=["not", "calls", "product"],
)
def test_code_nested_too_deep_is_a_problem_and_no_crash(text):
    found = code_of({"a.py": text, "b.py": TRL_SFT})
    assert "SFT" in {sign.kind for sign in found.signs}
    (problem,) = found.problems
    assert "too deeply nested" in problem or "recursion" in problem
