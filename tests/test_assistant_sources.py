"""Where scenarios come from: files, folders, data sets, the Hub; and how they are chosen."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import re
import subprocess
import sys
import threading
import urllib.parse

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from assistant_traces import scenario, two_turns, user

from pytest_a2perf.domains.assistant.errors import TraceError
from pytest_a2perf.domains.assistant.sources import find_cases
from pytest_a2perf.domains.assistant.trace.write import to_json


def text(scenario_id, *tags, **definition):
    return to_json(
        scenario([user("u", "Hello.")], scenario_id=scenario_id, tags=list(tags), **definition)
    )


def put(path, *args, **definition):
    """Write a scenario; its id is the name of the file unless given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(*(args or [path.stem]), **definition))
    return path


def parquet(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), str(path))


def rows(*scenario_ids, **more):
    return [{"scenario_id": one, "data": text(one), **more} for one in scenario_ids]


def found(location, root, **wanted):
    return [case.id for case in find_cases(str(location), root=root, **wanted)]


def problem(location, root, **wanted):
    with pytest.raises(TraceError) as caught:
        find_cases(str(location), root=root, **wanted)
    return str(caught.value)


# --- files and folders ---


def test_one_file_relative_to_the_root(tmp_path):
    path = put(tmp_path / "all" / "one.json", "s1", "Time", "Security")
    (case,) = find_cases("all/one.json", root=tmp_path)
    assert (case.id, case.capability, case.tags, case.split) == (
        "s1",
        "time",
        ("Time", "Security"),
        "",
    )
    assert case.digest == hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    assert case.text == path.read_bytes()
    assert case.trace().metadata.definition.scenario_id == "s1"


def test_a_flat_folder_is_read_in_the_order_of_its_names_and_not_deeper(tmp_path):
    for name in ("b", "a", "c", "B"):
        put(tmp_path / f"{name}.json")
    put(tmp_path / "deeper" / "d.json")
    (tmp_path / "notes.txt").write_text("no scenario")
    assert found(tmp_path, tmp_path) == ["B", "a", "b", "c"]


def test_configs_are_capabilities_and_come_before_other_folders(tmp_path):
    put(tmp_path / "search" / "validation" / "s.json")
    put(tmp_path / "execution" / "validation" / "e.json")
    put(tmp_path / "mini" / "validation" / "e.json")
    cases = find_cases(str(tmp_path), root=tmp_path)
    assert [(case.id, case.capability, case.config, case.split) for case in cases] == [
        ("e", "execution", "execution", "validation"),
        ("s", "search", "search", "validation"),
    ]
    (mini,) = find_cases(str(tmp_path), root=tmp_path, config="mini")
    assert (mini.config, mini.capability) == ("mini", "")


def test_configs_without_splits(tmp_path):
    put(tmp_path / "mine" / "x.json", "x", "Ambiguity")
    (case,) = find_cases(str(tmp_path), root=tmp_path)
    assert (case.config, case.split, case.capability) == ("mine", "", "ambiguity")


def test_a_noise_phase_has_the_capability_of_its_config(tmp_path):
    put(tmp_path / "search_noise" / "x.json", "x", "Time")
    (case,) = find_cases(str(tmp_path), root=tmp_path)
    assert case.capability == "search"


def test_several_splits_must_be_chosen_from(tmp_path):
    put(tmp_path / "time" / "test" / "a.json")
    put(tmp_path / "time" / "validation" / "b.json")
    assert problem(tmp_path, tmp_path).endswith("time: choose a split; valid: test, validation")
    assert found(tmp_path, tmp_path, split="test") == ["a"]
    assert "no split 'tests'; did you mean 'test'?" in problem(tmp_path, tmp_path, split="tests")


@pytest.mark.parametrize(
    ("location", "wanted", "message"),
    [
        ("flat/on.json", {}, "no such file or folder; did you mean 'one.json'?"),
        ("flat", {"config": "x"}, "no config 'x'"),
        ("flat", {"split": "x"}, "remove split = 'x'"),
        ("flat/one.json", {"split": "x"}, "a file has no config or split"),
        ("flat", {"revision": "main"}, "only data sets on the Hub have a revision"),
        ("flat/notes.txt", {}, "scenarios are in .json, .jsonl or .parquet files"),
        ("configs", {"config": "tim"}, "no config 'tim'; did you mean 'time'?"),
        ("empty", {}, "there are no scenarios"),
        ("s3://bucket", {}, "only files, folders and hf://datasets/... are known"),
        ("hf://owner/name", {}, "expected hf://datasets/<owner>/<name>"),
        ("hf://datasets/o/n@a", {"revision": "b"}, "revision is 'a' here but 'b' elsewhere"),
    ],
)
def test_what_cannot_be_found_says_so(tmp_path, location, wanted, message):
    put(tmp_path / "flat" / "one.json")
    (tmp_path / "flat" / "notes.txt").write_text("")
    put(tmp_path / "configs" / "time" / "validation" / "a.json")
    (tmp_path / "empty").mkdir()
    assert message in problem(location, tmp_path, **wanted)


def test_no_file_is_dropped_because_it_cannot_be_read(tmp_path):
    put(tmp_path / "a.json")
    (tmp_path / "b.json").write_text('{"metadata": {')
    assert f"{tmp_path / 'b.json'}: no JSON: EOF" in problem(tmp_path, tmp_path)


def test_all_broken_scenarios_are_named_at_once(tmp_path):
    for name in ("a", "b"):
        broken = two_turns()
        broken.metadata.definition.scenario_id = name
        broken.events[1].dependencies = ["nobody"]
        (tmp_path / f"{name}.json").write_text(to_json(broken))
    put(tmp_path / "c.json")
    lines = problem(tmp_path, tmp_path).splitlines()
    assert [line.partition(": event")[0] for line in lines] == [
        str(tmp_path / "a.json"), str(tmp_path / "b.json")
    ]  # fmt: skip
    assert found(tmp_path, tmp_path, ids=["c"]) == ["c"]


def test_a_scenario_that_is_there_twice_names_both_files(tmp_path):
    put(tmp_path / "a.json", "same")
    put(tmp_path / "b.json", "same")
    message = problem(tmp_path, tmp_path)
    assert f"{tmp_path / 'b.json'}: scenario 'same' is also in {tmp_path / 'a.json'}" in message


def test_traces_of_several_runs_are_not_the_same(tmp_path):
    for number in (2, 1):
        put(tmp_path / f"run_{number}.json", "same", run_number=number)
    cases = find_cases(str(tmp_path), root=tmp_path)
    assert [(case.id, case.run_number) for case in cases] == [("same", 1), ("same", 2)]


def test_a_file_that_changed_after_it_was_found_is_not_taken_for_what_it_was(tmp_path):
    path = put(tmp_path / "a.json")
    (case,) = find_cases(str(path), root=tmp_path)
    path.write_text(path.read_text() + "\n")
    with pytest.raises(TraceError, match="it has changed since it was found"):
        case.trace()
    path.unlink()
    with pytest.raises(TraceError, match="No such file"):
        case.trace()


# --- choosing ---


@pytest.fixture
def many(tmp_path):
    put(tmp_path / "execution" / "a.json", "a", "Execution", "Planning")
    put(tmp_path / "execution" / "b.json", "b", "Execution")
    put(tmp_path / "time" / "c.json", "c", "Time", "Planning")
    put(tmp_path / "time" / "d.json", "d", "Time")
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["a", "b", "c", "d"]),
        ({"limit": 1}, ["a", "c"]),
        ({"limit": 9}, ["a", "b", "c", "d"]),
        ({"ids": ["d", "a"]}, ["a", "d"]),
        ({"tags": ["planning"]}, ["a", "c"]),
        ({"tags": ["planning", "TIME"]}, ["a", "c", "d"]),
        ({"tags": ["Time"], "limit": 1}, ["c"]),
        ({"ids": ["a", "d"], "tags": ["Time"]}, ["d"]),
    ],
)
def test_choosing(many, wanted, expected):
    assert found(many, many, **wanted) == expected


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"ids": ["e"]}, "no scenario 'e'; valid: a, b, c, d"),
        ({"tags": ["Tim"]}, "no scenario has the tag 'Tim'; did you mean 'Time'?"),
        ({"limit": 0}, "limit is 0, but must be at least 1"),
        (
            {"ids": ["a"], "tags": ["Time"]},
            "no scenario has both one of the ids and one of the tags",
        ),
    ],
)
def test_what_cannot_be_chosen_says_so(many, wanted, message):
    assert message in problem(many, many, **wanted)


# --- rows ---


def test_jsonl_with_scenarios_as_text_or_object_or_path(tmp_path):
    put(tmp_path / "hf" / "c.json")
    lines = [
        {"scenario_id": "b", "data": text("b")},
        {"scenario_id": "a", "data": json.loads(text("a"))},
        {"trace_id": "hf/c.json", "score": 1.0},
    ]
    (tmp_path / "x.jsonl").write_text("\n\n".join(map(json.dumps, lines)) + "\n")
    assert found("x.jsonl", tmp_path) == ["b", "a", "c"]


@pytest.mark.parametrize("name", ["results/hf/c.json", "/somewhere/else/hf/c.json", "c.json"])
def test_paths_in_jsonl_are_found_where_results_were_moved(tmp_path, name):
    put(tmp_path / "hf" / "c.json")
    put(tmp_path / "c.json", "beside")
    (tmp_path / "output.jsonl").write_text(json.dumps({"task_id": "c", "trace_id": name}))
    assert found("output.jsonl", tmp_path) == ["beside" if name == "c.json" else "c"]


@pytest.mark.parametrize(
    "name", ["../secret.json", "{outside}", "hf/../../secret.json", "link.json"]
)
def test_paths_in_jsonl_do_not_leave_its_folder(tmp_path, name):
    outside = put(tmp_path / "secret.json")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.json").symlink_to(outside)
    path = name.replace("{outside}", str(outside))
    (inside / "x.jsonl").write_text(json.dumps({"trace_id": path}))
    assert f"x.jsonl:1: no file {path!r} in {inside}" in problem("x.jsonl", inside)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "x.jsonl:1: no JSON"),
        ("[]", "x.jsonl:1: no scenario; it needs 'scenario_id' and 'data'"),
        ('{"scenario_id": "a"}', "x.jsonl:1: no scenario"),
        ('{"scenario_id": "a", "data": "{}"}', "x.jsonl:1: metadata: it is missing"),
        ("\n", "x.jsonl: it is empty"),
        ("\xff", "x.jsonl: 'utf-8' codec can't decode"),
    ],
)
def test_what_is_wrong_in_a_line_is_said(tmp_path, line, message):
    (tmp_path / "x.jsonl").write_bytes(line.encode("latin-1"))
    assert message in problem("x.jsonl", tmp_path)


def test_a_row_that_names_another_scenario_than_it_holds_is_wrong(tmp_path):
    (tmp_path / "x.jsonl").write_text(json.dumps({"scenario_id": "a", "data": text("b")}))
    assert "scenario_id is 'a' in the row but 'b' in its data" in problem("x.jsonl", tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        "time/validation-00000-of-00001.parquet",
        "data/time/validation-00000-of-00001.parquet",
        "time/validation/0000.parquet",
        "time/validation.parquet",
    ],
)
def test_a_folder_laid_out_like_a_data_set(tmp_path, path):
    parquet(tmp_path / path, rows("b", "a"))
    (tmp_path / "README.md").write_text("---\n---\n")
    (tmp_path / "dataset_infos.json").write_text("{}")
    cases = find_cases(str(tmp_path), root=tmp_path)
    assert [(case.id, case.config, case.split) for case in cases] == [
        ("b", "time", "validation"), ("a", "time", "validation")
    ]  # fmt: skip
    assert cases[0].trace().metadata.definition.scenario_id == "b"


def test_shards_are_read_in_order_and_splits_without_config(tmp_path):
    for shard, name in ((1, "b"), (0, "a")):
        parquet(tmp_path / "data" / f"test-{shard:05}-of-00002.parquet", rows(name))
    parquet(tmp_path / "data" / "train-00000-of-00001.parquet", rows("c"))
    assert found(tmp_path, tmp_path, split="test") == ["a", "b"]
    assert "choose a split; valid: test, train" in problem(tmp_path, tmp_path)


def test_runs_and_phases_of_recorded_rows(tmp_path):
    recorded = [
        row
        for phase in ("standard", "noise")
        for number in (1, 2)
        for row in rows("a", run_number=number, phase_name=phase, score=1.0)
    ]
    parquet(tmp_path / "runs.parquet", recorded)
    cases = find_cases("runs.parquet", root=tmp_path, limit=1)
    assert [(case.phase, case.run_number) for case in cases] == [
        ("standard", 1), ("standard", 2), ("noise", 1), ("noise", 2)
    ]  # fmt: skip
    assert cases[1].trace().metadata.definition.run_number == 2


def test_what_is_wrong_with_a_parquet_file_is_said(tmp_path):
    (tmp_path / "no.parquet").write_text("no")
    assert "no.parquet: no Parquet file" in problem("no.parquet", tmp_path)
    parquet(tmp_path / "column.parquet", [{"scenario_id": "a", "date": "x"}])
    assert "no column 'data'; did you mean 'date'?" in problem("column.parquet", tmp_path)
    parquet(tmp_path / "row.parquet", [*rows("a"), {"scenario_id": "b", "data": None}])
    assert "row.parquet, row 1: no scenario" in problem("row.parquet", tmp_path)


# --- the Hub ---

COMMIT = "0123456789" * 4


class Hub:
    """As much of the Hub as data sets are fetched from."""

    def __init__(self, files):
        hub = self
        self.files = files
        self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path = urllib.parse.unquote(self.path.partition("?")[0])
                hub.asked.append(path)
                if match := re.fullmatch(r"/api/datasets/owner/set/revision/(.+)", path):
                    if match[1] in {"main", "v1", COMMIT}:
                        names = [{"rfilename": name} for name in hub.files]
                        return self.answer({"id": "owner/set", "sha": COMMIT, "siblings": names})
                    return self.refuse(404, "RevisionNotFound")
                if path.startswith("/api/datasets/owner/gated"):
                    return self.refuse(403, "GatedRepo")
                if re.fullmatch(rf"/api/datasets/owner/set/tree/(main|{COMMIT})", path):
                    return self.answer([
                        {"type": "file", "path": name, "size": len(data), "oid": _oid(data)}
                        for name, data in hub.files.items()
                    ])  # fmt: skip
                if match := re.fullmatch(rf"/datasets/owner/set/resolve/{COMMIT}/(.+)", path):
                    return self.send(
                        200, hub.files[match[1]], ETag=f'"{_oid(hub.files[match[1]])}"'
                    )
                return self.refuse(404, "RepoNotFound")

            do_HEAD = do_GET

            def answer(self, content):
                self.send(200, json.dumps(content).encode())

            def refuse(self, status, code):
                self.send(status, b"{}", **{"X-Error-Code": code})

            def send(self, status, data, **headers):
                self.send_response(status)
                headers |= {"Content-Length": str(len(data)), "X-Repo-Commit": COMMIT}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(data)

            def log_message(self, *values):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def _oid(data):
    return hashlib.sha1(data).hexdigest()


@pytest.fixture
def hub():
    def table(*names):
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows(*names)), buffer)
        return buffer.getvalue()

    served = Hub({
        "README.md": b"---\n---\n",
        "time/validation-00000-of-00001.parquet": table("t1", "t2"),
        "search/validation-00000-of-00001.parquet": table("s1"),
        "mini/validation-00000-of-00001.parquet": table("t1"),
    })  # fmt: skip
    yield served
    served.close()


ASK = """
import json, sys
from pathlib import Path
from pytest_a2perf.domains.assistant.sources import find_cases
from pytest_a2perf.errors import A2PerfError
for location, wanted in json.loads(sys.argv[1]):
    try:
        cases = find_cases(location, root=Path.cwd(), **wanted)
        answer = [[c.id, c.config, c.split, c.trace().metadata.definition.hf_metadata.revision]
                  for c in cases]
    except A2PerfError as error:
        answer = f"{type(error).__name__}: {error}"
    print(json.dumps(answer))
"""


def ask(endpoint, cache, *asked, **environment):
    """Find cases in a fresh Python, for the Hub's library reads its settings once."""
    environment = {
        **os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(cache),
        "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_ETAG_TIMEOUT": "60", "HF_HUB_DOWNLOAD_TIMEOUT": "60", **environment,
    }  # fmt: skip
    environment.pop("HF_TOKEN", None)
    arguments = [sys.executable, "-c", ASK, json.dumps(asked)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


SET = "hf://datasets/owner/set"


@pytest.mark.slow
def test_data_sets_are_fetched_from_the_hub_and_kept(hub, tmp_path):
    answers = ask(
        hub.url, tmp_path,
        (f"{SET}@v1/time/validation", {}),
        (SET, {"config": "search", "revision": COMMIT}),
        (SET, {}),
        (f"{SET}/tme", {}),
        (f"{SET}@v2", {}),
        ("hf://datasets/owner/gated", {}),
        ("hf://datasets/owner/none", {}),
    )  # fmt: skip
    time = [["t1", "time", "validation", COMMIT], ["t2", "time", "validation", COMMIT]]
    search = [["s1", "search", "validation", COMMIT]]
    assert answers == [
        time,
        search,
        search + time,
        f"TraceError: {SET}/tme: no config 'tme'; did you mean 'time'?",
        f"TraceError: {SET}@v2: it has no revision 'v2'",
        "TraceError: hf://datasets/owner/gated: access to it is gated; accept its terms on the Hub and set HF_TOKEN",
        "TraceError: hf://datasets/owner/none: no such data set on the Hub; if it is private, set HF_TOKEN",
    ]
    nowhere = "http://127.0.0.1:9"
    offline = ask(nowhere, tmp_path, (f"{SET}@v1/time", {}), HF_HUB_OFFLINE="1")
    unreachable = ask(nowhere, tmp_path, (f"{SET}@v1/time", {}), (f"{SET}@v3", {}))
    assert offline == [time]
    assert unreachable[0] == time
    assert unreachable[1].startswith(
        f"InfraError: {SET}@v3: it is not in the cache, and the Hub cannot be reached: "
    )


@pytest.mark.slow
def test_apps_that_a_trace_left_on_the_hub_are_fetched(hub, tmp_path):
    for name in ("t2", "t9"):
        content = json.loads(text(name, "Time"))
        definition = content["metadata"]["definition"]
        definition["hf_metadata"] = {
            "dataset": "owner/set",
            "split": "validation",
            "revision": "v1",
        }
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content | {"apps": []}))
    found, missing = ask(
        hub.url, tmp_path / "cache", (str(tmp_path / "t2.json"), {}), (str(path), {})
    )
    assert found == [["t2", "", "validation", "v1"]]
    assert missing == (
        f"TraceError: {path}: it has no apps, and {SET} has no scenario 't9' in split 'validation'"
    )


@pytest.mark.slow
def test_only_the_config_asked_for_is_fetched(hub, tmp_path):
    ask(hub.url, tmp_path, (f"{SET}/search", {}))
    fetched = {path.rpartition("resolve/")[2] for path in hub.asked if "resolve" in path}
    assert fetched == {f"{COMMIT}/search/validation-00000-of-00001.parquet"}


@pytest.mark.parametrize(
    ("module", "location", "extra"),
    [("pyarrow", "x.parquet", "parquet"), ("huggingface_hub", SET, "hub")],
)
def test_a_missing_package_names_the_extra(tmp_path, monkeypatch, module, location, extra):
    from pytest_a2perf.errors import InfraError

    parquet(tmp_path / "x.parquet", rows("a"))
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InfraError, match=rf"pip install 'pytest-a2perf\[{extra}\]'"):
        find_cases(location, root=tmp_path)
