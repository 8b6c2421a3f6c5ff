"""The tiny model: it computes the same however it is asked, and what trains it does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save_file

from pytest_a2perf.domains.posttrain import nano
from pytest_a2perf.domains.posttrain.nano import check, io
from pytest_a2perf.domains.posttrain.nano.grpo import GrpoOptions, advantages, grpo, grpo_episodes
from pytest_a2perf.domains.posttrain.nano.model import Config, ModelError, NanoLM
from pytest_a2perf.domains.posttrain.nano.rollout import Questions, rollout
from pytest_a2perf.domains.posttrain.nano.sample import Sampling, Writer, complete
from pytest_a2perf.domains.posttrain.nano.sft import SftOptions, sft
from pytest_a2perf.domains.posttrain.nano.turns import likelihoods, tokens_of

pytestmark = pytest.mark.usefixtures("one_thread")

CHARS = "\nabcd:"
GREEDY = Sampling(length=6, temperature=0)
words = st.text("abcd:", min_size=1, max_size=9)


def tiny(seed=0, **changes):
    return NanoLM(Config(**{"chars": CHARS, "width": 16, "layers": 2, "heads": 2, **changes}), seed)


def lively(positions="learned", context=64):
    """A model with weights so large that its replies differ."""
    model = tiny(3, positions=positions, context=context)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)
    return model


def plainly(model, text, length, stop="\n"):
    """What the model writes, computed without any cache."""
    reply = ""
    while len(reply) < length and len(text + reply) < model.config.context:
        with torch.no_grad():
            logits = model(torch.tensor([model.encode(text + reply)]))[0, -1]
        reply += model.decode([int(logits.argmax())])
        if reply.endswith(stop):
            break
    return reply


def weights_of(model):
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


# The model


@pytest.mark.parametrize("positions", ["learned", "rotary"])
@settings(max_examples=25, deadline=None)
@given(first=st.lists(words, min_size=1, max_size=5), data=st.data())
def test_texts_of_any_lengths_are_continued_as_each_alone_would_be(positions, first, data):
    model = lively(positions)
    generator = torch.Generator()
    writer, texts = Writer(model, first), list(first)
    for _ in range(2):
        replies = writer.write(GREEDY, generator)
        assert replies == [plainly(model, text, 6) for text in texts]
        kept = data.draw(st.lists(st.sampled_from(range(len(texts))), min_size=1, unique=True))
        seen = data.draw(st.lists(words, min_size=len(kept), max_size=len(kept)))
        writer.keep(kept)
        texts = [texts[row] + replies[row] for row in kept]
        texts = [text + more for text, more in zip(texts, seen, strict=True)]
        writer.read(seen)
        assert writer.room == [64 - len(text) for text in texts]


def test_a_reply_ends_where_the_context_does():
    model = lively(context=12)
    replies = Writer(model, ["abcdabcdab", "a", "abcdabcdabcd"]).write(
        Sampling(length=50, temperature=0, stop="\n"), torch.Generator()
    )
    assert replies == [plainly(model, text, 50) for text in ("abcdabcdab", "a")] + [""]


def test_replies_are_the_same_for_the_same_seed_only():
    model, prompts = lively(), ["ab:"] * 40
    drawn = [complete(model, prompts, Sampling(length=8), seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) > 5
    assert not any("\n" in reply for reply in drawn[0])


def test_samples_follow_the_model_s_probabilities():
    model = tiny(5)
    with torch.no_grad():
        shares = model(torch.tensor([model.encode("ab")]))[0, -1].softmax(-1)
    replies = Writer(model, ["ab"] * 4000).write(Sampling(length=1), torch.Generator())
    counts = torch.tensor([replies.count(char) / 4000 for char in CHARS])
    assert torch.allclose(counts, shares, atol=0.04)


def test_what_matters_is_computed_as_in_the_whole():
    model = lively()
    tokens, written = tokens_of(model, [("ab:", "cd\n", "a", "b\n"), ("d:", "a\n")])
    whole = model(tokens[:, :-1]).log_softmax(-1).gather(2, tokens[:, 1:, None])[..., 0]
    chances = likelihoods(model, tokens, written)
    assert torch.allclose(chances, whole[written[:, 1:]], atol=1e-5)
    assert len(chances) == 7


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"chars": "aa"}, "twice"),
        ({"chars": "a"}, "chars"),
        ({"width": 15}, "multiple"),
        ({"width": 4096}, "width"),
        ({"layers": 0}, "layers"),
        ({"layers": True}, "layers"),
        ({"context": 10**9}, "context"),
        ({"positions": "absolute"}, "positions"),
    ],
)
def test_a_shape_that_is_none_is_refused(changes, words):
    with pytest.raises(ModelError, match=words):
        tiny(**changes)


def test_a_character_that_the_model_lacks_is_named():
    with pytest.raises(ModelError, match="'z'"):
        complete(tiny(), ["abz"])
    with pytest.raises(ModelError, match="empty"):
        complete(tiny(), ["a", ""])
    with pytest.raises(ModelError, match="context of 64"):
        complete(tiny(), ["a" * 65])


# On disk


def test_a_model_comes_back_as_it_was_saved(tmp_path):
    model = tiny()
    io.save(model, tmp_path / "one")
    io.save(io.load(tmp_path / "one", like=model.config), tmp_path / "two")
    assert same(weights_of(model), weights_of(io.load(tmp_path / "two")))
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


def spoil(folder, how):
    config, weights = folder / "config.json", folder / "model.safetensors"
    tensors = load(weights.read_bytes())
    if how == "pickle":
        torch.save(tensors, weights)
    elif how == "no weights":
        weights.unlink()
    elif how == "not finite":
        tensors["norm.weight"][0] = float("nan")
        save_file(tensors, weights)
    elif how == "half":
        save_file({name: tensor.half() for name, tensor in tensors.items()}, weights)
    elif how == "one tensor more":
        save_file({**tensors, "extra": torch.zeros(1)}, weights)
    elif how == "another architecture":
        config.write_text(json.dumps({**json.loads(config.read_text()), "architecture": "gpt"}))
    elif how == "another width":
        config.write_text(json.dumps({**json.loads(config.read_text()), "width": 32}))
    elif how == "a key more":
        config.write_text(json.dumps({**json.loads(config.read_text()), "auto_map": {}}))
    elif how == "not JSON":
        config.write_text("{")
    elif how == "deep JSON":
        config.write_text("[" * 50_000)


@pytest.mark.parametrize(
    "how",
    [
        *("pickle", "no weights", "not finite", "half", "one tensor more"),
        *("another architecture", "another width", "a key more", "not JSON", "deep JSON"),
    ],
)
def test_what_is_no_such_model_is_refused(tmp_path, how):
    io.save(tiny(), tmp_path)
    spoil(tmp_path, how)
    with pytest.raises(ModelError):
        io.load(tmp_path)
    assert len(check.check(tmp_path)) == 1


def test_a_model_can_be_checked_before_it_is_submitted(tmp_path, capsys):
    io.save(tiny(0), tmp_path / "base")
    io.save(tiny(1), tmp_path / "other")
    io.save(tiny(1, context=32), tmp_path / "shorter")
    base = str(tmp_path / "base")
    assert check.main([str(tmp_path / "other"), base]) == 0
    assert check.main([base, base]) == 1
    assert check.main([str(tmp_path / "shorter"), base]) == 1
    assert check.main([]) == 2
    said = capsys.readouterr().out
    assert "can be submitted" in said
    assert "this is the base model" in said
    assert "must be that of the base model" in said


# Training

PAIRS = [(f"{a}{b}:", b + a) for a in "abcd" for b in "abcd"]


@pytest.mark.slow
def test_supervised_training_teaches_replies_and_is_the_same_each_time():
    options = SftOptions(steps=150, batch=16, rate=8e-3)
    models = [tiny(), tiny()]
    losses = [sft(model, PAIRS, options) for model in models]
    assert losses[0] == losses[1]
    assert same(*map(weights_of, models))
    assert losses[0][-1] < 0.1 < losses[0][0]
    assert complete(models[0], [prompt for prompt, _ in PAIRS], GREEDY) == [b for _, b in PAIRS]


def test_only_what_the_model_writes_is_learnt_unless_all_is():
    first = []
    for texts, whole in (([("ab:", "c")], False), ([("ab:", "c\n")], True)):
        model = tiny()
        tokens, written = tokens_of(model, [("ab:", "c\n")])
        every = torch.ones_like(written) if whole else written
        expected = -likelihoods(model, tokens, every).mean().item()
        first.append(sft(model, texts, SftOptions(steps=1, whole=whole))[0])
        assert first[-1] == pytest.approx(expected, abs=1e-5)
    assert first[0] != pytest.approx(first[1], abs=1e-3)


def test_training_can_be_ended_and_needs_something_to_learn():
    seen = []
    assert len(sft(tiny(), PAIRS, watch=lambda step, _: seen.append(step) or step == 3)) == 3
    assert seen == [1, 2, 3]
    for texts in ([], [("ab",)]):
        with pytest.raises(ModelError, match="nothing to learn"):
            sft(tiny(), texts)
    with pytest.raises(ModelError, match="context is 64"):
        sft(tiny(), [("a" * 60, "b" * 10)])


PROMPTS = [f"{a}{b}:" for a in "abcd" for b in "abcd"]
SHORT = GrpoOptions(steps=60, tasks=8, group=8, rate=1e-2, sampling=Sampling(length=3))


def first_letter(number, reply):
    return float(reply[:1] == PROMPTS[number][0])


@pytest.mark.slow
def test_rewards_teach_what_nobody_has_shown():
    models = [tiny(), tiny()]
    means = [grpo(model, PROMPTS, first_letter, SHORT) for model in models]
    assert means[0] == means[1]
    assert same(*map(weights_of, models))
    assert means[0][0] < 0.4
    assert means[0][-1] > 0.8


def test_equal_rewards_teach_nothing():
    model = tiny()
    before = weights_of(model)
    means = grpo(model, PROMPTS, lambda *_: 0.1, SHORT, lambda step, _: step == 3)
    assert means == pytest.approx([0.1] * 3)
    assert same(before, weights_of(model))


def test_advantages_are_of_the_group():
    gains = advantages(torch.tensor([[1.0, 0, 0, 0], [5, 5, 5, 5], [2, 4, 2, 4]]))
    assert gains.sum(dim=1).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert gains[1].tolist() == [0, 0, 0, 0]
    assert gains[2].tolist() == pytest.approx([-1, 1, -1, 1], abs=1e-3)


def distance(model, start):
    return sum(float((model[name] - start[name]).square().sum()) for name in start)


@pytest.mark.slow
def test_a_penalty_keeps_the_model_near_its_start():
    start = weights_of(tiny())
    gone = []
    for kl in (0.0, 5.0):
        model = tiny()
        options = GrpoOptions(steps=20, tasks=8, group=8, rate=3e-3, kl=kl, epochs=2)
        grpo(model, PROMPTS, first_letter, options)
        replies = complete(model, PROMPTS * 8, Sampling(length=1), seed=1)
        gone.append(sum(map(first_letter, list(range(16)) * 8, replies)) / 128)
        assert distance(weights_of(model), start) > 0
    assert gone[0] > gone[1] + 0.1


class Doors:
    """Two doors: the first choice is told, the second must be the other one."""

    def reset(self, task):
        self.first = ""
        return "ab"[task] + ":"

    def step(self, text):
        if not self.first:
            self.first = text[:1] or "d"
            return f"{self.first if self.first in 'ab' else 'd'}:", 0.0, False
        return "", float({"a": "b", "b": "a"}.get(self.first) == text[:1]), True


def test_an_environment_is_played_in_turns():
    episodes = rollout(lively(), Doors, [0, 1, 0], Sampling(length=4, temperature=0), turns=2)
    assert [episode.task for episode in episodes] == [0, 1, 0]
    assert episodes[0].turns == episodes[2].turns
    for episode in episodes:
        assert episode.steps == 2
        assert len(episode.turns) == 4
        assert not episode.cut
        text = "".join(episode.turns[:3])
        assert episode.turns[3] == plainly(lively(), text, 4)


def test_an_episode_is_cut_for_want_of_turns_or_context():
    assert rollout(tiny(), Doors, [0], turns=1)[0].cut
    cut = rollout(tiny(context=8), Doors, [0], Sampling(length=5), turns=9)[0]
    assert cut.cut
    assert len("".join(cut.turns)) <= 8
    asked = rollout(tiny(), lambda: Questions(["ab"], lambda *_: 0.5), [0, 0])
    assert [(episode.reward, episode.cut) for episode in asked] == [(0.5, False)] * 2


@pytest.mark.slow
def test_rewards_of_episodes_teach_as_well():
    model = tiny()
    options = GrpoOptions(
        steps=150, tasks=2, group=32, turns=2, rate=1e-2, sampling=Sampling(length=2)
    )
    means = grpo_episodes(model, Doors, [0, 1], options)
    assert sum(means[:5]) / 5 < 0.4
    assert sum(means[-5:]) / 5 > 0.8


# For agents


@pytest.mark.slow
def test_it_can_be_used_without_this_package(tmp_path):
    shutil.copytree(Path(nano.__file__).parent, tmp_path / "nano")
    code = (
        "import sys, nano.check, nano.grpo, nano.io, nano.sft\n"
        "assert not any(name.startswith('pytest') for name in sys.modules)\n"
        "print(nano.__file__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path))
