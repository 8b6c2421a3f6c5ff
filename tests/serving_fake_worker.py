"""A load process without a network: it speaks the protocol of `replay.plan`, and misbehaves.

What its replies are like, and what goes wrong, stands in the plan's ``endpoint.sampling``:
``time`` and ``ttft`` of a reply in seconds, ``tokens``, ``turns`` of a session, ``counted``,
``gaps`` and ``lag`` (histograms); ``fail`` (a kind of failure), ``slow`` (every so many-th request
takes ``slow_time``), ``late`` (seconds by which requests are sent late); ``after`` so many requests
the last process does what ``then`` says (kill, leave, garbage, error, rubbish, hang), ``first`` is
what all do instead of being ready, ``silent`` the agents that never begin, and who is ``deaf`` does
not stop.
"""

import heapq
import json
import os
import select
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

from pytest_a2perf.domains.serving.replay.plan import COLUMNS, Plan, Status


def say(event, **more):
    os.write(1, json.dumps({"event": event, **more}).encode() + b"\n")


def misbehave(how, rows):
    rows.flush()
    match how:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "leave":
            sys.stderr.write("out of ideas")
            sys.exit(3)
        case "garbage":
            os.write(1, b"Segmentation fault\n")
        case "error":
            say("error", message="no tokenizer at nowhere/tokenizer.json")
        case "rubbish":
            rows.write("[1, 2, 3]\n")
            rows.flush()
    while sys.stdin.buffer.read1():  # until the trial is gone
        pass
    sys.exit(1)


def heard(wait):
    """Return what the trial says within so many seconds; leave if it is gone."""
    if not select.select([0], [], [], max(wait, 0.0))[0]:
        return None
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit(1)
    return json.loads(line)["do"] if b'"stop"' in line else json.loads(line)


def main():
    plan = Plan.from_json(json.loads(sys.stdin.buffer.readline()))
    how = {"time": 0.02, "ttft": 0.005, "tokens": 11, "turns": 4, **plan.endpoint.sampling}
    rows = Path(plan.rows).open("w", encoding="utf-8")  # noqa: SIM115 - it may end anywhere
    if "first" in how:
        misbehave(how["first"], rows)
    say("ready")
    start = json.loads(sys.stdin.buffer.readline())["at"]
    agents = range(plan.share, plan.agents, plan.shares)
    silent = how.get("silent", 0)
    # (when it ends, agent, turn, when it was due)
    flights = []
    for agent in agents[: len(agents) - silent]:
        due = start + plan.ramp * agent / plan.agents
        heapq.heappush(flights, (due + how["time"], agent, 0, due))
    status = Status(active=len(flights))
    status.since = 0.0 if silent else start + plan.ramp
    stopped, shown, done = False, 0.0, 0
    while flights:
        now = time.monotonic()
        status.at, status.in_flight, status.cpu = now, len(flights), time.process_time()
        if now >= shown + 0.1:
            shown = now
            say("status", **asdict(status))
            rows.flush()
        said = heard(min(flights[0][0], shown + 0.1) - now)
        now = time.monotonic()
        while flights and flights[0][0] <= now:
            ended, agent, turn, due = heapq.heappop(flights)
            done += 1
            last = turn % how["turns"] == how["turns"] - 1
            write_row(rows, how, plan, agent, turn, due, ended, last)
            status.turns += 1
            status.failed += "fail" in how
            status.sessions += last
            if done == how.get("after") and plan.share == plan.shares - 1:
                misbehave(how["then"], rows)
            if not stopped:
                slow = "slow" in how and (turn + agent) % how["slow"] == 1
                took = how["slow_time"] if slow else how["time"]
                heapq.heappush(flights, (ended + took, agent, turn + 1, ended))
        # Only now: however late this process hears of it, it had its load until then.
        stopped = stopped or (said == "stop" and not how.get("deaf"))
    rows.write(json.dumps({"gaps": how["gaps"], "lag": how["lag"]}) + "\n")
    rows.close()
    say("status", **asdict(status))
    say("done")


def write_row(rows, how, plan, agent, turn, due, ended, last):
    sent = due + how.get("late", 0.0)
    fail = how.get("fail", "")
    row = {
        **dict.fromkeys(COLUMNS, -1),
        "agent": agent, "session": 0, "run": turn // how["turns"], "turn": turn % how["turns"],
        "due": due, "sent": sent, "first": 0.0 if fail else sent + how["ttft"], "last": ended,
        "ended": ended, "connecting": 0.0, "chunks": how["tokens"], "prompt_tokens": 100,
        "cached_tokens": 90, "output_tokens": how["tokens"], "reasoning_tokens": 1,
        "counted": how.get("counted", "server"), "finish": "stop", "failure": fail,
        "error": "broken" if fail else "", "status": 200, "last_turn": int(last),
    }  # fmt: skip
    rows.write(json.dumps([row[name] for name in COLUMNS]) + "\n")


if __name__ == "__main__":
    main()
