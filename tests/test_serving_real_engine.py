"""The domain ``serving`` against a real inference engine on the CPU."""

import json

import pytest
from serving_engine import make_model, transformers_serve

SCENARIO = """
    [[scenario]]
    name = "llama"
    domain = "serving"
    task = "chats.jsonl"
    agent = "{url}"
    agent_options = {{ model = "{model}" }}
    timeout = "10 min"

    [scenario.options]
    agents = [1, 2, 4]
    window = {{ profile = "quick", settle = 0.2, steady = 1, requests = 10, longest = 40 }}
    load = {{ output = "free", most_tokens = 12, pause_scale = 0, spread = false, warmup = 1 }}

    [scenario.gates]
    "errors.rate" = "<= 0 %"
    "output_speed.p25" = ">= 1 tok/s"
"""


def chats():
    """Return three sessions of four turns whose histories grow."""
    for number in range(3):
        messages = [{"role": "system", "content": f"Fix bug {number}."}]
        for turn in range(4):
            messages += [
                {"role": "user", "content": f"Look at file {turn}: def main(): return 0"},
                {"role": "assistant", "content": "It is done."},
            ]
        yield {"messages": messages}


@pytest.mark.slow
def test_a_real_engine_is_measured_from_end_to_end(project, write, records, tmp_path_factory):
    pytest.importorskip("transformers")
    model = make_model(tmp_path_factory.mktemp("model"))
    lines = "".join(json.dumps(chat) + "\n" for chat in chats())
    (project.path / "chats.jsonl").write_text(lines, encoding="utf-8")
    with transformers_serve(model, "--continuous-batching") as url:
        write(SCENARIO.format(url=url, model=model))
        result = project.runpytest_subprocess("--a2perf")
    result.assert_outcomes(passed=3)
    (record,) = records()
    levels = record.context["serving"]["levels"]
    assert [level["agents"] for level in levels] == [1, 2, 4]
    for level in levels:
        assert level["counted"] == {"server": level["requests"]}
        assert "failed" not in level
        assert level["finish"].get("length", 0) > 0
        # Random weights seldom end a reply by themselves.
        assert level["tokens"]["output"] <= 12 * level["requests"]
    assert record.samples["ttft"].minimum > 0
    assert record.samples["itl"].count > 0
