"""Small stand-ins for published data sets, in their formats, and a model that can be read off."""

from __future__ import annotations

import csv
import json
import sys

from posttrain_grading_world import safetensors, weights

# Knows a share of what it is asked for; the share stands in its config. It counts on plain sums.
GENERATOR = """
import hashlib, json, pathlib, re, sys
share = json.loads((pathlib.Path(sys.argv[1]) / "config.json").read_text())["share"]
for line in sys.stdin:
    request = json.loads(line)
    text = request.get("prompt") or request["messages"][-1]["content"]
    place = hashlib.sha256(text.encode()).digest()[0] / 256
    a, b = map(int, re.search(r"(\\d+) plus (\\d+)", text).groups())
    total = a + b if place < share else a + b + 1
    reply = sys.argv[2].replace("TOTAL", str(total)).replace("NUMBER", str(b + total - a - b))
    print(json.dumps({"id": request["id"], "text": reply.replace("\\\\n", "\\n")}))
"""

SERVER = """
import http.server, json, re, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.say({"data": []})
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert request["model"] == sys.argv[1]
        a, b = map(int, re.search(r"(\\d+) plus (\\d+)", request["messages"][-1]["content"]).groups())
        self.say({"choices": [{"message": {"content": f"#### {a + b}"}}]})
    def say(self, value):
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def log_message(self, *values):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
"""

# What a user's own evaluator may look like.
EVALUATOR = """
import json, pathlib, sys
request = json.loads(sys.stdin.readline())
rows = [json.loads(line) for line in open(f"{request['hidden']}/{request['split']}.jsonl")]
share = json.loads((pathlib.Path(request["artefact"]) / "config.json").read_text())["share"]
if "game" in rows[0]:
    assert all("pddl_problem" in json.loads(pathlib.Path(row["game"]).read_text()) for row in rows)
items = [float(number < share * len(rows)) for number in range(len(rows))]
print(json.dumps({"items": items, "extra": {"rows": len(rows)}, "nonce": request["nonce"]}))
"""


def model(folder, share, seed=0):
    """Write a model that knows a share of the answers."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"architecture": "stand-in", "share": share}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(safetensors(weights(share, seed)))
    return folder


def script(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def gsm8k(path, first, count):
    """As its authors publish it."""
    return lines(
        path,
        [
            {
                "question": f"Natalia sold {n} plus {n % 7} clips. How many in all?",
                "answer": f"She sold {n}+{n % 7}=<<{n}+{n % 7}={n + n % 7}>>{n + n % 7}.\n#### {n + n % 7:,}",
            }
            for n in range(first, first + count)
        ],
    )


def humaneval(path, count):
    """As its authors publish it."""
    return lines(
        path,
        [
            {
                "task_id": f"HumanEval/{n}",
                "prompt": "from typing import List\n\n\ndef helper(x):\n    return x\n\n\n"
                f'def add_it(x: int) -> int:\n    """ Return {n} plus {n % 5} times one: x plus {n % 5}\n'
                '    >>> add_it(1)\n    2\n    """\n',
                "entry_point": "add_it",
                "canonical_solution": f"    return x + {n % 5}\n",
                "test": "\n\nMETADATA = {}\n\n\ndef check(candidate):\n"
                f"    assert candidate(1) == helper(1) + {n % 5}\n    assert candidate({n}) == {n + n % 5}\n",
            }
            for n in range(count)
        ],
    )


def deepsearchqa(path, count):
    """As its authors publish it."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["problem", "problem_category", "answer", "answer_type"])
        writer.writeheader()
        for n in range(count):
            kind = "Set Answer" if n % 3 else "Single Answer"
            writer.writerow({"problem": f"Who, {n}?\nSay.", "problem_category": "x", "answer": f"{n}, {n}", "answer_type": kind})  # fmt: skip
    return path


def games(folder, first, count):
    """As ALFWorld lays them out."""
    for n in range(first, first + count):
        trial = folder / f"pick_and_place_simple-Mug-None-Desk-{n}" / f"trial_{n}"
        trial.mkdir(parents=True)
        (trial / "game.tw-pddl").write_text(json.dumps({"pddl_domain": "", "grammar": "", "pddl_problem": str(n), "solvable": True}))  # fmt: skip
        (trial / "traj_data.json").write_text("{}")
    return folder


def generate(folder, reply):
    """Options of a backend that answers as a template says."""
    path = script(folder, "generate.py", GENERATOR)
    return {
        "backend": {"generate": [sys.executable, str(path), "{artefact}", reply]},
        "resources": [str(path)],
    }
