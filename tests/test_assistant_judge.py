"""The graph judge: what it accepts, what it refuses, and what it says; recorded runs as well."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
from assistant_runs import planned, played
from assistant_traces import START, UI, agent, answer, app, env, mailbox, scenario, two_turns, user
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_a2perf.domains.assistant.errors import TraceError
from pytest_a2perf.domains.assistant.judge.checks import CHECKS, normalise
from pytest_a2perf.domains.assistant.judge.graph import GraphJudge
from pytest_a2perf.domains.assistant.judge.lite import judge_lite
from pytest_a2perf.domains.assistant.judge.offline import judge_trace
from pytest_a2perf.domains.assistant.judge.rules import ARGUMENTS, SOFT_CHECKS, rule_of
from pytest_a2perf.domains.assistant.judge.timing import Tolerance
from pytest_a2perf.domains.assistant.trace.graph import EventGraph
from pytest_a2perf.domains.assistant.trace.lite import LiteTrace, Message
from pytest_a2perf.domains.assistant.trace.read import parse_trace
from pytest_a2perf.domains.assistant.trace.write import to_json, trace_of
from pytest_a2perf.domains.assistant.world.oracle import run_oracle
from pytest_a2perf.domains.assistant.world.world import World
from pytest_a2perf.errors import InfraError

ME = {"first_name": "Max", "last_name": "Moe", "is_user": True, "address": "1 Hill Road"}
APPS = [
    mailbox(),
    app("Chats", "MessagingAppV2"),
    app("Messages", "MessagingAppV2"),
    app("Diary", "CalendarApp"),
    app("Files", "SandboxLocalFileSystem"),
    app("Cabs", "CabApp"),
    app("Contacts", "ContactsApp", contacts={"me": ME}),
]


def by_name(log, name):
    """Return a happening by the id that it has in the oracle's log."""
    return log[[one.id for one in planned(DAY)].index(name)]


def judged(trace, log, **options):
    return GraphJudge(trace, planned(trace), **options).judge(log)


def a_day():
    """Return a scenario of two turns with all that a judge looks at."""
    return scenario(
        [
            user("ask", "Tell Ann and Bob, plan it, and remind Eve in a minute."),
            agent(
                "mail", "Emails", "send_email", "ask",
                recipients=["ann@x.org", "bob@x.org"], subject="Lunch", content="See you at noon!",
            ),
            agent(
                "plan", "Diary", "add_calendar_event", "ask",
                title="Lunch", start_datetime="2024-10-16 12:00:00",
                end_datetime="2024-10-16 13:00:00", attendees=["Ann Lee", "Max Moe"],
            ),
            agent("remind", "Chats", "send_message", "mail", 60, user_id="eve", content="Lunch"),
            answer("told", "Done.", ["plan", "remind"]),
            env(
                "reply", "Emails", "create_and_add_email", "told", 30,
                sender="ann@x.org", content="Fine",
            ),
            agent("delete", "Emails", "delete_email", "reply", email_id="{{reply}}"),
            agent("folder", "Files", "mkdir", "reply", path="/lunch"),
            answer("done", "All done.", ["delete", "folder"]),
        ],
        APPS,
        scenario_id="day",
    )  # fmt: skip


DAY = a_day()


def call(log, name, **changes):
    """Append a call like one of the oracle's, just after it."""
    one = by_name(log, name)
    log.append(replace(copy.deepcopy(one), id="extra", time=one.time + 0.5, **changes))


def later(log, name, seconds):
    """Let a call and all that comes after it happen later."""
    time = by_name(log, name).time
    for one in log:
        if one.time >= time:
            one.time += seconds


def argue(name, **arguments):
    return lambda log: by_name(log, name).arguments.update(arguments)


def move(name, seconds):
    return lambda log: setattr(by_name(log, name), "time", by_name(log, name).time + seconds)


# Each verdict is that of ARE 1.2.0 on the same logs.
ACCEPTED = {
    "the same": lambda log: None,
    "other order of recipients": argue("mail", recipients=["bob@x.org", "ann@x.org", "bob@x.org"]),
    "other case and accents": argue("mail", subject="lúnch", content="see you at NOON"),
    "no carbon copies": argue("mail", cc=[]),
    "without the user": argue("plan", attendees=["ann lee"]),
    "text that the oracle left out": argue("plan", description="anything"),
    "a path without slash": argue("folder", path="lunch/"),
    "read": lambda log: call(log, "mail", function="list_emails", write=False),
    "price of a ride": lambda log: call(
        log, "mail", app="Cabs", app_class="CabApp", function="get_quotation"
    ),
    "failed call": lambda log: call(log, "mail", error="no such address"),
    "noise": lambda log: log.append(
        replace(by_name(log, "reply"), id="env_expansion_1", time=START + 5)
    ),
    "nested folders": lambda log: setattr(by_name(log, "folder"), "function", "makedirs"),
    "the other messenger": lambda log: setattr(by_name(log, "remind"), "app", "Messages"),
    "nearly 10 s early": lambda log: later(log, "remind", -9.9),
    "nearly 25 s late": lambda log: later(log, "remind", 24.9),
    "everything later": lambda log: later(log, "mail", 300),
    "plan last": lambda log: later(log, "told", 1) or move("plan", 60.5)(log),
    "other order in the second turn": lambda log: later(log, "done", 1) or move("delete", 0.5)(log),
    "other results": lambda log: (
        setattr(by_name(log, "reply"), "result", "e7") or argue("delete", email_id="e7")(log)
    ),
}
REFUSED = {
    "wrong recipient": argue("mail", recipients=["ann@x.org"]),
    "somebody in copy": argue("mail", cc=["eve@x.org"]),
    "an attachment": argue("mail", attachment_paths=["/a.txt"]),
    "wrong hour": argue("plan", start_datetime="2024-10-16 12:30:00"),
    "no hour": argue("plan", end_datetime=None),
    "somebody too much": argue("plan", attendees=["Ann Lee", "Eve"]),
    "wrong chat": argue("remind", user_id="ann"),
    "wrong folder": argue("folder", path="/lunch/ann"),
    "the oracle's own id": lambda log: setattr(by_name(log, "reply"), "result", "e7"),
    "missing call": lambda log: log.remove(by_name(log, "plan")),
    "missing message": lambda log: log.remove(by_name(log, "told")),
    "failed": lambda log: setattr(by_name(log, "plan"), "error", "boom"),
    "extra call": lambda log: call(log, "mail"),
    "extra call of another tool": lambda log: call(log, "mail", function="delete_email"),
    "another message": lambda log: call(log, "mail", app=UI, app_class=UI, function="send_message_to_user"),
    "other tool": lambda log: setattr(by_name(log, "folder"), "function", "rmdir"),
    "too early": lambda log: later(log, "remind", -10.5),
    "too late": lambda log: later(log, "remind", 25.5),
    "before what it waits for": lambda log: later(log, "mail", 61) or move("remind", -61.5)(log),
    "in the wrong turn": move("plan", 61),
    "world did otherwise": lambda log: setattr(by_name(log, "reply"), "id", "other"),
    "world did nothing": lambda log: log.remove(by_name(log, "reply")),
    "extra event": lambda log: log.append(replace(by_name(log, "reply"), id="again")),
}  # fmt: skip


def variant(change):
    """Return the agent's log with a change, and its moments apart so that their order is sure."""
    log = played(planned(DAY))
    for number, one in enumerate(log):
        one.time += number / 1000
    change(log)
    return log


class TestVerdicts:
    @pytest.mark.parametrize("name", ACCEPTED)
    def test_what_comes_to_the_same_is_accepted(self, name):
        verdict = judged(DAY, variant(ACCEPTED[name]))
        assert verdict.success, verdict.rationale
        assert [turn.success for turn in verdict.turns] == [True, True]

    @pytest.mark.parametrize("name", REFUSED)
    def test_what_does_not_is_refused(self, name):
        verdict = judged(DAY, variant(REFUSED[name]), hard_only=True)
        assert not verdict.success
        assert "rejected: " in verdict.rationale

    def test_calls_are_matched_with_the_events_they_stand_for(self):
        verdict = judged(DAY, played(planned(DAY)))
        agents = {
            f"call-{number}": one.id
            for number, one in enumerate(planned(DAY))
            if one.kind == "AGENT"
        }
        assert agents.items() <= verdict.matched.items()
        assert verdict.turns[0].matched.keys() & {"ask", "reply"} == {"ask"}

    def test_calls_of_any_app_of_the_class_are_known(self):
        trace = scenario(
            [user("ask", "Go"), agent("a", "My post", "delete_email", "ask", email_id="1")],
            [mailbox(name="My post")],
        )
        assert judged(trace, played(planned(trace))).success

    def test_calls_are_compared_one_after_the_other_in_the_order_of_time(self):
        trace = scenario(
            [
                user("ask", "Go"),
                agent("first", "Emails", "delete_email", "ask", email_id="1"),
                agent("second", "Emails", "delete_email", "ask", 5, email_id="1"),
            ],
            APPS,
        )
        verdict = judged(trace, played(planned(trace)))
        assert verdict.matched == {"ask": "ask", "call-1": "first", "call-2": "second"}

    @pytest.mark.parametrize(
        ("comparator", "early", "late"),
        [(None, False, False), ("EQUAL", False, False), ("LESS_THAN", True, False),
         ("GREATER_THAN", False, True)],
    )  # fmt: skip
    @pytest.mark.parametrize("absolute", [False, True])
    def test_comparators_leave_one_side_open(self, comparator, early, late, absolute):
        when = {"at": START + 300} if absolute else {"delay": 300}
        trace = scenario(
            [
                user("ask", "Go"),
                agent(
                    "a", "Emails", "delete_email", "ask",
                    comparator=comparator, email_id="1", **when,
                ),
            ],
            APPS,
        )  # fmt: skip
        for seconds, accepted in ((0, True), (-11, early), (26, late), (-10, True), (25, True)):
            log = played(planned(trace))
            log[1].time += seconds
            assert judged(trace, log).success is accepted, seconds

    def test_short_delays_are_not_checked_unless_compared(self):
        for comparator, accepted in ((None, True), ("LESS_THAN", False)):
            trace = scenario(
                [
                    user("ask", "Go"),
                    agent("a", "Emails", "delete_email", "ask", 1, comparator, email_id="1"),
                ],
                APPS,
            )
            log = played(planned(trace))
            log[1].time += 100
            assert judged(trace, log).success is accepted
            assert judged(trace, log, tolerance=Tolerance(after=100)).success

    def test_the_delay_counts_from_what_the_oracle_waited_for_last(self):
        trace = scenario(
            [
                user("ask", "Go"),
                env("mail", "Emails", "create_and_add_email", "ask", 100, sender="a", content="b"),
                agent("a", "Emails", "delete_email", "ask", email_id="1"),
                agent("b", "Emails", "delete_email", ["mail", "a"], 60, email_id="2"),
            ],
            APPS,
        )
        log = played(planned(trace))
        log[1].time += 130  # "a", by the agent's fault, after the mail
        log[3].time += 5
        assert judged(trace, log).success

    def test_one_message_more_to_the_user_is_allowed(self):
        trace = scenario(
            [user("ask", "Go"), agent("a", "Emails", "delete_email", "ask", email_id="1")], APPS
        )
        log = played(planned(trace))
        log.append(
            replace(log[1], id="m", app=UI, app_class=UI, function="send_message_to_user", arguments={"content": "Hi"})
        )  # fmt: skip
        assert judged(trace, log).success
        assert not judged(trace, log, extra_messages=0).success

    def test_turns_are_judged_one_by_one(self):
        judge = GraphJudge(DAY, planned(DAY))
        log = played(planned(DAY))
        assert judge.judge_turn(0, log[:5]).success
        with pytest.raises(ValueError, match="turn 1 is to be judged next"):
            judge.judge_turn(0, log)
        verdict = judge.judge(log)
        assert verdict.success
        assert len(verdict.turns) == 2

    def test_a_run_that_never_ends_its_turn_is_rejected(self):
        verdict = judged(DAY, played(planned(DAY))[:4])
        assert not verdict.success
        assert "turn 1 of 2 rejected: the agent did not end it" in verdict.rationale

    def test_nothing_is_judged_after_a_rejection(self):
        verdict = judged(DAY, variant(REFUSED["missing call"]))
        assert len(verdict.turns) == 1


class TestRationale:
    def test_it_names_event_call_and_argument(self):
        rationale = judged(DAY, variant(REFUSED["wrong recipient"])).rationale
        assert "turn 1 of 2" in rationale
        assert "event 'mail'" in rationale
        assert "Emails__send_email(recipients=['ann@x.org', 'bob@x.org']" in rationale
        assert "recipients: expected ['ann@x.org', 'bob@x.org']" in rationale
        assert "2024-10-15 07:00:00" in rationale

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("missing call", "Diary__add_calendar_event: 0 instead of 1"),
            ("extra call", "Emails__send_email: 2 instead of 1"),
            ("too late", "too late: 85.5"),
            ("too early", "too early: 49.5"),
            ("before what it waits for", "comes before 'mail', which it depends on"),
            ("world did otherwise", "event 'reply' of the scenario has not happened"),
        ],
    )
    def test_it_says_why(self, name, words):
        assert words in judged(DAY, variant(REFUSED[name]), hard_only=True).rationale

    def test_it_says_of_each_candidate_why_it_is_none(self):
        trace = scenario(
            [
                user("ask", "Go"),
                agent("first", "Emails", "delete_email", "ask", email_id="1"),
                agent("second", "Emails", "delete_email", "first", email_id="2"),
            ],
            APPS,
        )
        log = played(planned(trace))
        log[2].arguments["email_id"] = "3"
        rationale = judged(trace, log).rationale
        assert "it stands for event 'first'" in rationale
        assert "email_id: expected '2'" in rationale


class TestFreeTexts:
    def test_without_a_model_only_equal_texts_can_be_judged(self):
        log = variant(argue("remind", content="Do not forget lunch"))
        with pytest.raises(InfraError, match=r"'remind'.*content is 'Do not.*needs a judge model"):
            judged(DAY, log)
        assert judged(DAY, log, hard_only=True).success

    def test_equal_texts_are_found_without_a_model(self):
        trace = scenario(
            [
                user("ask", "Go"),
                agent("a", "Chats", "send_message", "ask", user_id="eve", content="One"),
                agent("b", "Chats", "send_message", "ask", user_id="eve", content="Two"),
            ],
            APPS,
        )
        log = played(planned(trace))
        log[1].arguments, log[2].arguments = log[2].arguments, log[1].arguments
        assert judged(trace, log).success

    def test_scripted_checks_replace_the_model(self):
        checks = {"remind": {"content": {"contain_all": ["lunch", "FORGET"]}, "user_id": "eq"}}
        log = variant(argue("remind", content="Do not forget lunch"))
        assert judged(DAY, log, scripted=checks).success
        verdict = judged(DAY, variant(lambda log: None), scripted=checks)
        assert not verdict.success
        assert "content: expected 'FORGET' in it" in verdict.rationale
        any_of = {"remind": {"content": {"contain_any_checker": ["dinner", "lunch"]}}}
        assert judged(DAY, log, scripted=any_of).success
        none_of = {"remind": {"content": {"contain_any": ["dinner"]}}}
        assert not judged(DAY, log, scripted=none_of).success

    @pytest.mark.parametrize(
        ("checks", "words"),
        [
            ({"remnd": {}}, "did you mean 'remind'"),
            ({"ask": {}}, "'ask': the oracle has no such call"),
            ({"remind": {"contents": "eq"}}, "no argument 'contents'; did you mean 'content'"),
            ({"remind": {"content": "eqq"}}, "unknown check 'eqq'; did you mean 'eq'"),
            ({"remind": {"content": {"contain": ["x"]}}}, "unknown check 'contain'"),
            ({"remind": {"content": {"contain_any": "x"}}}, "contain_any needs a list of texts"),
            ({"remind": {"content": {"contain_any": []}}}, "contain_any needs a list of texts"),
            ({"remind": "eq"}, "expected an object"),
        ],
    )
    def test_wrong_scripted_checks_are_named(self, checks, words):
        with pytest.raises(TraceError) as error:
            judged(DAY, [], scripted=checks)
        assert words in str(error.value)


class TestTables:
    def test_every_check_exists(self):
        used = {
            check
            for app_ in ARGUMENTS.values()
            for tool in app_.values()
            for check in tool.values()
        }
        assert used == CHECKS.keys() | {"soft"}

    def test_only_tools_with_free_texts_have_soft_checks(self):
        for app_class, functions in SOFT_CHECKS.items():
            for function in functions:
                assert rule_of(app_class, function).soft

    @pytest.mark.parametrize("name", ["Mail", "Emails", "EmailClientV2", "EmailClientApp"])
    def test_classes_go_by_several_names(self, name):
        assert rule_of(name, "send_email").hard["recipients"] == "unordered_list"

    def test_an_oracle_with_an_unknown_tool_is_an_error_of_the_scenario(self):
        trace = scenario(
            [user("ask", "Go"), agent("a", "Emails", "burn_email", "ask", email_id="1")], APPS
        )
        with pytest.raises(TraceError, match=r"'a': no judge knows EmailClientV2\.burn_email"):
            GraphJudge(trace, planned(trace))


# What ARE 1.2.0 says of pairs of values; the user is John Doe.
SAME = {
    "eq": [("a", "a"), (1, True), (None, None)],
    "eq_str_strip": [(" a ", "a"), (None, ""), (" ", None)],
    "phone": [("+1 (2)3", "123"), (None, None)],
    "datetime": [("2024-10-15 7:00:00", "2024-10-15 07:00:00"), (None, None)],
    "path": [("/a/b", "a/./b/"), ("a/../b", "/b"), ("", "."), (None, None)],
    "unordered_list": [(["b", "a", "a"], ["a", "b"]), (None, []), ([], None), ([{"a": 1}], [{"a": 1}])],
    "unordered_path_list": [(["/a", "b"], ["b", "a/"]), (None, [])],
    "list_attendees": [
        (["ann b."], ["Ann B", "John Doe"]), (["Bob"], []), (None, ["john doe"]),
        (["John Doe", "Bob"], ["Bob"]), (["Bob"], None),
    ],
}  # fmt: skip
DIFFERENT = {
    "eq": [("a", "b"), ("", None)],
    "eq_str_strip": [("a", None), ("a", "A")],
    "phone": [("12", "123"), (None, ""), ("", None)],
    "datetime": [("2024-10-15 07:00:01", "2024-10-15 07:00:00"), (None, "2024-10-15 07:00:00"), ("soon", "soon")],
    "path": [("a", "b"), (None, ""), ("/", None)],
    "unordered_list": [(["a"], ["a", "b"]), (None, ["a"]), (["a"], [])],
    "unordered_path_list": [(["a"], ["b", "a"]), (["a"], None)],
    "list_attendees": [(["Bob"], ["Ann B"]), (None, ["Bob"]), (["Ann B", "Bob"], ["Bob"])],
}  # fmt: skip


class TestChecks:
    @pytest.mark.parametrize("name", CHECKS)
    def test_they_say_what_ares_say(self, name):
        for agents, oracles in SAME[name]:
            assert CHECKS[name](agents, oracles, "John Doe"), (agents, oracles)
        for agents, oracles in DIFFERENT[name]:
            assert not CHECKS[name](agents, oracles, "John Doe"), (agents, oracles)

    @pytest.mark.parametrize(
        ("text", "normal"),
        [("Héllo, Wörld! ", "hello world"), ("a-b_c", "abc"), ("ﬁ  x", "ﬁ  x"), (None, "none")],
    )
    def test_texts_are_normalised_as_ares(self, text, normal):
        assert normalise(text) == normal

    @pytest.mark.slow
    @given(st.text())
    def test_normal_texts_stay(self, text):
        assert normalise(normalise(text)) == normalise(text)


@st.composite
def worlds(draw):
    """Draw a scenario of one turn whose calls are told apart by their ids."""
    events = [user("ask", "Go")]
    for number in range(draw(st.integers(1, 6))):
        parents = draw(
            st.lists(st.sampled_from([one.event_id for one in events]), min_size=1, max_size=3)
        )
        function, name = draw(
            st.sampled_from([("delete_email", "email_id"), ("reply_to_email", "email_id")])
        )
        events.append(
            agent(f"e{number}", "Emails", function, sorted(set(parents)), **{name: f"m{number}"})
        )
    events.append(answer("end", "Done.", [one.event_id for one in events]))
    return scenario(events, APPS)


def orders(draw, trace):
    """Draw an order of the events that respects what they wait for."""
    graph, order = EventGraph(trace), []
    while len(order) < len(graph.events):
        ready = [
            one for one in graph.events
            if one not in order and set(graph.events[one].dependencies) <= set(order)
        ]  # fmt: skip
        order.append(draw(st.sampled_from(ready)))
    return order


class TestProperties:
    @settings(max_examples=50)
    @given(worlds())
    def test_the_oracles_own_log_passes(self, trace):
        assert judged(trace, played(planned(trace))).success

    @settings(max_examples=50)
    @given(worlds(), st.data())
    def test_any_order_that_respects_what_events_wait_for_passes(self, trace, data):
        order = orders(data.draw, trace)
        log = played(planned(trace))
        for one, event in zip(log, planned(trace), strict=True):
            one.time = START + order.index(event.id)
        data.draw(st.randoms(use_true_random=False)).shuffle(log)
        assert judged(trace, log).success

    @pytest.mark.slow
    @settings(max_examples=50)
    @given(worlds(), st.data())
    def test_an_order_against_them_fails(self, trace, data):
        order = orders(data.draw, trace)
        child = data.draw(st.sampled_from([one for one in order if one not in {"ask", "end"}]))
        parents = [one for one in EventGraph(trace).events[child].dependencies if one != "ask"]
        assume(parents)
        order.remove(child)
        order.insert(order.index(data.draw(st.sampled_from(parents))), child)
        log = played(planned(trace))
        for one, event in zip(log, planned(trace), strict=True):
            one.time = START + order.index(event.id)
        assert not judged(trace, log).success

    @settings(max_examples=50)
    @given(worlds(), st.data())
    def test_calls_too_many_too_few_or_wrong_fail(self, trace, data):
        log = played(planned(trace))
        index = data.draw(st.integers(1, len(log) - 2))
        how = data.draw(st.sampled_from(["twice", "not", "failed", "read", "other", "wrong"]))
        if how == "twice":
            log.insert(index, replace(log[index], id="again"))
        elif how == "not":
            del log[index]
        elif how == "failed":
            log[index].error = "boom"
        elif how == "read":
            log[index].write = False
        elif how == "other":
            log[index].function = "move_email"
        else:
            log[index].arguments["email_id"] = "wrong"
        assert not judged(trace, log).success

    @settings(max_examples=50)
    @given(worlds(), st.data())
    def test_reads_and_failures_do_not_count(self, trace, data):
        log = played(planned(trace))
        one = data.draw(st.sampled_from([one for one in log if one.kind == "AGENT"]))
        log.append(replace(one, id="read", function="get_email_by_id", write=False))
        log.append(replace(one, id="failed", error="boom"))
        assert judged(trace, log).success


def play_two_turns(judge_turn=None, thanks="Thank you."):
    """Play `two_turns` in a real world as it should be played."""
    world = World(two_turns(), judge_turn=judge_turn)
    send = {"recipients": ["ann@example.com"], "subject": "late", "content": "I am late"}
    world.call("Emails__send_email", send)
    world.call(f"{UI}__send_message_to_user", {"content": "Done."})
    world.notifications()
    world.wait()
    email_id = next(one.result for one in world.log if one.id == "reply")
    world.call("Emails__reply_to_email", {"email_id": email_id, "content": thanks})
    world.call(f"{UI}__send_message_to_user", {"content": "Done again."})
    return world


class TestRecordedRuns:
    def test_an_agent_is_judged_while_it_plays(self):
        trace = two_turns()
        judge = GraphJudge(trace, run_oracle(trace).log)
        world = play_two_turns(judge.judge_turn)
        assert world.why == "finished", judge.judge(world.log).rationale
        assert judge.judge(world.log).success
        assert len(world.verdicts) == 2

    @pytest.mark.parametrize("known_to_us", [True, False])
    def test_a_recorded_run_of_two_turns_gets_the_same_verdict(self, known_to_us):
        trace = two_turns()
        judge = GraphJudge(trace, run_oracle(trace).log)
        log = play_two_turns(judge.judge_turn if known_to_us else None).log
        text = to_json(trace_of(trace, log, decision=None, rationale="", agent="a", model="m"))
        recorded = parse_trace(text, "run.json")
        for source in (trace, recorded):
            verdict = judge_trace(source, recorded)
            assert verdict.success, verdict.rationale

    def test_a_recorded_failure_gets_the_same_verdict(self):
        trace = two_turns()
        log = [one for one in play_two_turns().log if one.function != "reply_to_email"]
        recorded = trace_of(trace, log, decision=True, rationale="", agent="a", model="m")
        verdict = judge_trace(trace, recorded)
        assert not verdict.success
        assert "Emails__reply_to_email: 0 instead of 1" in verdict.rationale

    @pytest.mark.parametrize("apps", ["left out", "by their classes"])
    def test_apps_are_found_however_they_are_called(self, apps):
        trace = two_turns()
        recorded = trace_of(
            trace, play_two_turns().log, decision=True, rationale="", agent="a", model="m"
        )
        if apps == "left out":
            recorded.apps = []
        else:
            for one in recorded.apps:
                one.name = one.class_name
            for event in recorded.completed_events:
                if event.action.app == "Emails":
                    event.action.app = "EmailClientV2"
        assert judge_trace(trace, recorded).success

    def test_other_scenarios_and_empty_traces_are_refused(self):
        trace = two_turns()
        with pytest.raises(TraceError, match="completed_events is empty"):
            judge_trace(trace, trace)
        with pytest.raises(TraceError, match="day: a trace of that cannot be judged"):
            judge_trace(trace, DAY)


def conversation(*steps):
    """Return a lite trace in ARE's words; steps are times, calls and what came back."""
    messages = [Message(role="user", content="[TASK]: \nTell Ann.\n", timestamp=START)]
    for number, (time, tool, arguments, told) in enumerate(steps, 1):
        action = json.dumps({"action": tool, "action_input": arguments})
        text = f"Thought: so be it.\n\nAction:\n{action}<end_action>"
        messages.append(Message(role="assistant", content=text, timestamp=time and START + time))
        if told is not None:
            kind = "ERROR" if told.startswith("!") else "Observation"
            text = f"[OUTPUT OF STEP {number}] {kind}:\n***\n{told}\n***\n"
            messages.append(Message(role="user", content=text, timestamp=time and START + time))
    return LiteTrace(scenario_id="two-turns", per_agent_interaction_histories={"agent_1": messages})


SENT = {"recipients": ["ann@example.com"], "subject": "Late", "content": "I am late."}


class TestLiteTraces:
    def steps(self):
        reply = {x.id: x for x in run_oracle(two_turns()).log}["reply"].result
        return [
            (1, "Emails__list_emails", {}, "[]"),
            (2, "Emails__send_email", {"to": "ann"}, "!no argument 'to'"),
            (3, "Emails__send_email", SENT, "e1"),
            (4, f"{UI}__send_message_to_user", {"content": "Done."}, None),
            (66, "Emails__reply_to_email", {"email_id": reply, "content": "Thank you"}, "e3"),
            (67, f"{UI}__send_message_to_user", {"content": "Done again"}, None),
        ]

    def test_calls_are_read_out_of_the_conversation(self):
        verdict = judge_lite(two_turns(), conversation(*self.steps()))
        assert verdict.success, verdict.rationale
        assert "assumed to have happened" in verdict.notes[0]
        assert any("what event 'reply' returned" in note for note in verdict.notes)

    def test_failed_and_missing_calls_are_seen(self):
        steps = self.steps()
        steps[2] = (*steps[2][:3], "!the mailbox is full")
        verdict = judge_lite(two_turns(), conversation(*steps))
        assert "Emails__send_email: 0 instead of 1" in verdict.rationale

    def test_what_cannot_be_known_is_said(self):
        steps = [(None, *step[1:]) for step in self.steps()]
        steps.insert(0, (None, "Emails__expert_agent", {"task": "x"}, "ok"))
        notes = judge_lite(two_turns(), conversation(*steps)).notes
        assert any("have no time" in note for note in notes)
        assert any("Emails__expert_agent" in note for note in notes)

    def test_a_trace_without_calls_is_refused(self):
        with pytest.raises(TraceError, match="holds no calls"):
            judge_lite(two_turns(), conversation())
        with pytest.raises(TraceError, match="cannot be judged as a run of"):
            judge_lite(DAY, conversation())
