"""Scenarios whose agent or judge is a model behind a real server, through pytest."""

from __future__ import annotations

import json

import pytest
from llm_server import Hang, Reply, call

SECRET = "sk-a2perf-0123456789"
LOCKER = """
    [[scenario]]
    name = "locker"
    domain = "assistant"
    task = "a2perf/demo"
    agent = "{agent}"
    agent_options = {{model = "openai/scripted", api_base = "{url}", max_retries = 2, prices = [1, 2]}}
    seeds = {seeds}
    timeout = "1 min"
    options = {{ids = ["search_locker_code"]{options}}}
"""


@pytest.fixture(autouse=True)
def _key(served, monkeypatch):
    """Give every request a key that must not turn up anywhere."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)


def locker(server, agent="assistant-llm", options="", seeds=1):
    return LOCKER.format(agent=agent, url=server.url, options=options, seeds=seeds)


def solving(messages, code="7204", text="Sent"):
    """Answer as a model that looks up the code, sends it on and says so."""
    done = sum(message["role"] == "assistant" for message in messages)
    return [
        Reply(calls=[("Emails__list_emails", "{not json"), ("Emails__list_emails", {})]),
        call("Chats__send_message", user_id="chat-yuki.tanabe", content=f"Locker 31, code {code}."),
        call("AgentUserInterface__send_message_to_user", content=text),
    ][min(done, 2)]


@pytest.mark.slow
def test_a_model_is_an_agent_and_is_accounted_for(project, write, records, served):
    server = served((429, {"Retry-After": "0"}), solving)
    write(locker(server) + 'gates = {"success.rate" = ">= 1", "cost.per_solved" = "<= 1 USD"}')
    result = project.runpytest_subprocess("--a2perf")
    result.assert_outcomes(passed=3)
    (record,) = records()
    found = {name: quantity.value for name, quantity in record.reported.items()}
    assert (found["calls"], found["retries"], found["prompt_tokens"]) == (3, 1, 300)
    assert found["cost"] == pytest.approx((300 * 1 + 21 * 2) / 1e6)
    assert record.samples["latency"].count == 3
    assert len(server.asked) == 4
    assert all(SECRET in key for key in server.keys)
    for path in (project.path / ".a2perf").rglob("*"):
        assert not path.is_file() or SECRET not in path.read_text(errors="replace")


@pytest.mark.slow
def test_cassettes_replay_without_a_server_or_a_key(project, write, records, served, monkeypatch):
    def wrong_at_second(messages):
        return solving(messages, "7204" if len(server.asked) <= 3 else "0")

    server = served(wrong_at_second)
    cassette = ', cassette = {path = "tapes", mode = "record"}'
    write(locker(server, options=cassette, seeds=2))
    project.runpytest_subprocess("--a2perf").assert_outcomes(passed=1, failed=1)
    live = {record.seed: record for record in records()}
    server.close()
    monkeypatch.delenv("OPENAI_API_KEY")
    (run,) = (project.path / ".a2perf" / "runs").iterdir()
    run.rename(project.path / "recorded")
    write(locker(server, options=cassette.replace("record", "replay"), seeds=2))
    project.runpytest_subprocess("--a2perf").assert_outcomes(passed=1, failed=1)
    for record in records():
        assert record.outcome == live[record.seed].outcome
        assert record.context["replayed"] == 3
        assert not record.quantities
        assert "latency" not in record.samples
        assert record.reported["cost"] == live[record.seed].reported["cost"]
    assert not any(SECRET in path.read_text() for path in (project.path / "tapes").rglob("*.jsonl"))


@pytest.mark.slow
def test_a_server_that_fails_is_nobodys_failure(project, write, records, served):
    servers = {"500": served((500, {})), "401": served((401, {})), "hangs": served(Hang())}
    write(
        "".join(
            locker(server).replace("max_retries = 2", "max_retries = 0, timeout = 1")
            .replace('"locker"', f'"{name}"') + 'gates = {"success.rate" = ">= 0"}\n'
            for name, server in servers.items()
        )
    )  # fmt: skip
    result = project.runpytest_subprocess("--a2perf")
    assert result.ret == 1  # not a pass, though nobody failed
    assert [record.outcome for record in records()] == ["infra"] * 3
    assert not any(SECRET in record.to_line() for record in records())


@pytest.mark.slow
def test_free_texts_are_compared_by_a_model(project, write, records, served):
    said = {
        "accepts": "[[Success]]",
        "rejects": "[[Failure]]",
        "mumbles": "Well?",
        "down": (503, {}),
    }
    judges = {name: served(entry) for name, entry in said.items()}
    server = served(lambda messages: solving(messages, text="I have sent Yuki the code"))
    write(
        "".join(
            locker(
                server,
                options=f', judge = {{model = "openai/judge", model_options = {{api_base = '
                f'"{judge.url}", max_retries = 0}}}}',
            ).replace('"locker"', f'"{name}"')
            for name, judge in judges.items()
        )
    )
    project.runpytest_subprocess("--a2perf")
    found = {record.scenario.partition("::")[2]: record for record in records()}
    assert {name: record.outcome for name, record in found.items()} == {
        "accepts": "success", "rejects": "failure", "mumbles": "infra", "down": "infra",
    }  # fmt: skip
    for name, judge in judges.items():
        assert {request["model"] for request in judge.asked} == {"judge"}
        if name in ("accepts", "rejects"):
            assert found[name].reported["judge_calls"].value == len(judge.asked)
            assert found[name].reported["calls"].value == 3


@pytest.mark.slow
def test_ares_format_is_spoken(project, write, records, served):
    def say(tool, **arguments):
        action = json.dumps({"action": tool, "action_input": arguments})
        return f"Thought: do it.\nAction:\n{action}<end_action>"

    server = served(
        say("Emails__list_emails"),
        say("Chats__send_message", user_id="chat-yuki.tanabe", content="Locker 31, code 7204."),
        say("AgentUserInterface__send_message_to_user", content="Sent"),
    )
    write(locker(server, "assistant-react", ', traces = "both"'))
    project.runpytest_subprocess("--a2perf").assert_outcomes(passed=1)
    assert not any(request.get("tools") for request in server.asked)
    (run,) = (project.path / ".a2perf" / "runs").iterdir()
    run.rename(project.path / "recorded")
    write(
        """
        [[scenario]]
        name = "again"
        domain = "assistant"
        phase = "judge"
        task = "recorded/trials/*/trace.lite.json"
        options = {scenarios = "a2perf/demo"}
        """
    )
    project.runpytest_subprocess("--a2perf").assert_outcomes(passed=1)
    (record,) = records()
    assert record.case == "search_locker_code-run1"
    assert record.context["recorded_decision"] == "Valid"
    assert record.context["notes"]


@pytest.mark.slow
def test_limits_end_a_trial_as_a_failure(project, write, records, served):
    server = served(call("Emails__list_emails"))
    text = locker(server).replace("max_retries = 2", "max_steps = 4")
    write(text)
    project.runpytest_subprocess("--a2perf").assert_outcomes(failed=1)
    (record,) = records()
    assert record.outcome == "failure"
    assert "max_steps" in record.error["message"]
    assert len(server.asked) == 4
    assert next((project.path / ".a2perf").rglob("trace.json")).stat().st_size > 1000
