"""Lines of keys in TOML files."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_a2perf.scenarios.lines import key_lines, nearest_line

TEXT = '''\
# a comment with name = "no"
schema = 1

[[scenario]]
name = "a"  # = ]
text = """
name = "not a key"
[[scenario]]
"""
list = [
  1,
  { x = 2 },
]
last = 3

[scenario.gates]
"return.mean" = ">= 4"
latency.p95 = { max = "3 ms" }

[[scenario]]
name = 'b'
[scenario.options]
env.gravity = 9.8
'''


def test_keys_and_tables_have_lines():
    tomllib.loads(TEXT)
    lines = key_lines(TEXT)
    assert lines["schema",] == 2
    assert lines["scenario", 0] == 4
    assert lines["scenario", 0, "name"] == 5
    assert lines["scenario", 0, "text"] == 6
    assert lines["scenario", 0, "list"] == 10
    assert lines["scenario", 0, "last"] == 14
    assert lines["scenario", 0, "gates"] == 16
    assert lines["scenario", 0, "gates", "return.mean"] == 17
    assert lines["scenario", 0, "gates", "latency", "p95"] == 18
    assert lines["scenario", 1] == 20
    assert lines["scenario", 1, "name"] == 21
    assert lines["scenario", 1, "options", "env", "gravity"] == 23
    assert ("scenario", 2) not in lines


def test_unknown_paths_fall_back_to_what_contains_them():
    lines = key_lines(TEXT)
    assert nearest_line(lines, ("scenario", 0, "gates", "latency", "p95", "max")) == 18
    assert nearest_line(lines, ("scenario", 1, "task")) == 20
    assert nearest_line(lines, ("nothing",)) == 1


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z]{1,8}", fullmatch=True),
            st.sampled_from(['"x = 1 [["', "[1, 2]", "{ a = 1 }", "'#'", '"""\nq = 1\n"""', "3"]),
        ),
        max_size=8,
        unique_by=lambda pair: pair[0],
    )
)
def test_every_key_of_a_valid_file_is_found_once(pairs):
    text = "".join(f"{key} = {value}\n" for key, value in pairs)
    assert {path[0] for path in key_lines(text)} == set(tomllib.loads(text))
    for key, _ in pairs:
        assert text.splitlines()[key_lines(text)[key,] - 1].startswith(key)


@pytest.mark.parametrize("letter", ["\x85", "\u2028", "\u2029"])
def test_what_only_looks_like_the_end_of_a_line_is_none(letter):
    assert key_lines(f'a = "{letter}"\nb = 1\n') == {("a",): 1, ("b",): 2}
