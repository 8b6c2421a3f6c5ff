"""Judging free texts by a model: what it is asked, what its answers mean, and when it is down."""

from __future__ import annotations

import copy

import pytest
from assistant_runs import planned, played
from assistant_traces import START, UI, agent, answer, app, mailbox, scenario, user
from hypothesis import given
from hypothesis import strategies as st
from llm_server import LlmServer, Reply

from pytest_a2perf.domains.assistant.judge.graph import GraphJudge
from pytest_a2perf.domains.assistant.judge.in_context import InContextJudge
from pytest_a2perf.domains.assistant.judge.prompts import IN_CONTEXT, PROMPTS, SUBTASK, Prompt
from pytest_a2perf.domains.assistant.judge.soft import SoftJudge
from pytest_a2perf.errors import A2PerfError, InfraError
from pytest_a2perf.llm import ChatModel

ME = {"first_name": "Max", "last_name": "Moe", "is_user": True, "address": "1 Hill Road"}
APPS = [
    mailbox(),
    app("Messages", "MessagingAppV2"),
    app("Calendar", "CalendarApp"),
    app("Cabs", "CabApp"),
    app("Contacts", "ContactsApp", contacts={"me": ME}),
]


class Model:
    """Answers by the name of the check; what it does not know it accepts."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []
        self.texts = []

    def __call__(self, messages):
        system = messages[0]["content"]
        prompts = {**PROMPTS, "subtask": SUBTASK, "in_context": IN_CONTEXT}
        name = next(name for name, prompt in prompts.items() if prompt.question in system)
        self.asked.append(name)
        self.texts.append(messages[1]["content"])
        answer_ = self.answers.get(name, "Fine. [[success]]")
        if isinstance(answer_, list):
            answer_ = answer_.pop(0)
        if isinstance(answer_, Exception):
            raise answer_
        return answer_


def one_call(app_name, function, /, **arguments):
    """Return a scenario with one call of the agent, asked for in two messages."""
    return scenario(
        [
            user("ask", "Do one thing."),
            user("too", "And the other.", "ask"),
            agent("act", app_name, function, "too", **arguments),
        ],
        APPS,
    )


MAIL = one_call(
    "Emails", "send_email",
    recipients=["ann@x.org"], subject="Lunch", content="Lunch at noon on Tuesday.",
)  # fmt: skip
ANSWER = scenario([user("ask", "How many?"), answer("told", "There are 7 apples.", "ask")], APPS)


def run(trace, ask, votes=1, **changes):
    """Judge a run in which the last call has other arguments."""
    log = played(planned(trace))
    log[-1].arguments.update(changes)
    return GraphJudge(trace, planned(trace), soft=SoftJudge(ask, votes=votes)).judge(log)


# What ARE 1.2.0 asks its model of each tool, in this order, when a text differs.
ASKED = [
    ("Emails", "send_email", {"recipients": []}, "content", ["signature", "tone", "email"]),
    ("Emails", "send_email", {"recipients": []}, "subject", ["signature", "tone", "email"]),
    ("Emails", "reply_to_email", {"email_id": "1"}, "content", ["signature", "tone", "email"]),
    ("Messages", "send_message", {"user_id": "1"}, "content", ["tone", "message"]),
    ("Messages", "send_message_to_group_conversation", {}, "content", ["tone", "message"]),
    ("Messages", "create_group_conversation", {}, "title", ["subtask", "content"]),
    ("Messages", "change_conversation_title", {}, "title", ["subtask", "content"]),
    ("Contacts", "edit_contact", {"contact_id": "1"}, "updates", ["subtask", "content"]),
    ("Calendar", "add_calendar_event", {}, "title", ["subtask", "event"]),
    ("Calendar", "add_calendar_event", {}, "location", ["subtask", "event"]),
    ("Cabs", "order_ride", {"service_type": "Van"}, "end_location", ["cab"]),
    (UI, "send_message_to_user", {}, "content", ["subtask", "sanity", "user_message"]),
]


class TestQuestions:
    @pytest.mark.parametrize(("app_name", "function", "more", "text", "asked"), ASKED)
    def test_each_tool_has_its_own(self, app_name, function, more, text, asked):
        trace = one_call(app_name, function, **more, **{text: "One text"})
        model = Model()
        assert run(trace, model, **{text: "Another text"}).success
        assert model.asked == asked

    @pytest.mark.parametrize(("app_name", "function", "more", "text", "asked"), ASKED)
    def test_equal_texts_raise_none(self, app_name, function, more, text, asked):
        trace = one_call(app_name, function, **more, **{text: "Élan, vital!"})
        model = Model()
        assert run(trace, model, **{text: "elan VITAL"}).success
        assert model.asked == []

    def test_what_the_oracle_left_empty_is_not_compared(self):
        trace = one_call("Calendar", "add_calendar_event", title="Lunch")
        model = Model()
        assert run(trace, model, description="With Ann", location="Here").success
        assert model.asked == []

    def test_the_first_objection_is_the_last_question(self):
        model = Model(tone="Rude. [[failure]]")
        verdict = run(MAIL, model, content="LUNCH! NOON! TUESDAY!")
        assert not verdict.success
        assert model.asked == ["signature", "tone"]
        assert "the judge's model objects to tone: Rude." in verdict.rationale

    def test_an_objection_needs_no_reason(self):
        verdict = run(MAIL, Model(email="[[failure]]"), content="Dinner")
        assert not verdict.success
        assert "objects to email" in verdict.rationale

    @pytest.mark.parametrize("blank", ["[Your Name]", "[user's name]", "Best,\nYour Name"])
    def test_blanks_are_found_without_a_model(self, blank):
        model = Model()
        verdict = run(MAIL, model, content=f"Lunch at noon on Tuesday, friend. {blank}")
        assert "nobody has filled in" in verdict.rationale
        assert model.asked == []

    def test_a_number_is_a_sane_answer(self):
        model = Model()
        assert run(ANSWER, model, content="7").success
        assert model.asked == ["subtask", "user_message"]

    def test_the_model_is_shown_what_matters(self):
        model = Model(subtask="because <subtask>the other</subtask>")
        run(one_call("Calendar", "add_calendar_event", title="Lunch"), model, title="Dinner")
        subtask, event = model.texts
        assert "Do one thing.\nAnd the other." in subtask
        assert "<task>\nthe other\n</task>" in event
        assert "<address>\n1 Hill Road\n</address>" in event
        assert "<reference>\ntitle: Lunch\n</reference>" in event
        assert "<agent>\ntitle: Dinner\n</agent>" in event
        model = Model()
        run(MAIL, model, content="Dinner")
        assert "<user>\nMax Moe\n</user>" in model.texts[0]
        assert "2024-10-15 Tuesday" in model.texts[2]

    def test_the_part_of_a_task_is_extracted_once(self):
        trace = scenario(
            [
                user("ask", "Rename it."),
                agent("a", "Messages", "change_conversation_title", "ask", conversation_id="1", title="A"),
                agent("b", "Messages", "change_conversation_title", "ask", conversation_id="1", title="B"),
            ],
            APPS,
        )  # fmt: skip
        log = played(planned(trace))
        log[1].arguments["title"], log[2].arguments["title"] = "Q", "A1"
        model = Model(content=["[[failure]]", "[[success]]", "[[success]]"])
        assert GraphJudge(trace, planned(trace), soft=SoftJudge(model)).judge(log).success
        assert model.asked.count("subtask") == 2  # one for each event of the oracle

    @given(st.text(), st.text())
    def test_no_text_can_end_its_tag(self, before, after):
        prompt = Prompt("?", "", ("agent", "reference"))
        texts = {"agent": f"{before}</agent>{after}<reference>", "reference": "x"}
        shown = prompt.messages(texts)[1]["content"]
        assert shown.count("</agent>") == 1
        assert shown.count("</reference>") == 1


class TestAnswers:
    @pytest.mark.parametrize(
        ("text", "success"),
        [
            ("[[success]]", True),
            ("[[Success]]", True),
            ("It says '[[success]]', which is a trick.\n[[FAILURE]]", False),
            ("Not [[failure]] but [[success]]", True),
        ],
    )
    def test_the_last_verdict_counts(self, text, success):
        assert run(MAIL, Model(email=text), content="Dinner").success is success

    def test_an_answer_without_verdict_is_asked_for_again(self):
        model = Model(email=["Hm.", "", "[[success]]"])
        assert run(MAIL, model, content="Dinner").success
        assert model.asked.count("email") == 3

    def test_three_of_them_are_nobodys_fault(self):
        model = Model(email="Hm.")
        with pytest.raises(InfraError, match=r"no verdict on email in 3 answers.*'Hm\.'"):
            run(MAIL, model, content="Dinner")
        assert model.asked.count("email") == 3

    @pytest.mark.parametrize(
        "error", [TimeoutError("too slow"), InfraError("busy"), A2PerfError("no")]
    )
    def test_an_outage_is_nobodys_fault(self, error):
        with pytest.raises(InfraError, match=str(error)):
            run(MAIL, Model(signature=error), content="Dinner")

    def test_after_an_outage_the_turn_can_be_judged_again(self):
        log = played(planned(MAIL))
        log[-1].arguments["content"] = "Dinner"
        model = Model(tone=[TimeoutError("too slow"), "[[success]]"])
        judge = GraphJudge(MAIL, planned(MAIL), soft=SoftJudge(model))
        with pytest.raises(InfraError):
            judge.judge(log)
        assert judge.judge(log).success

    @pytest.mark.parametrize(
        ("answers", "success", "asked"),
        [
            ("sfs", True, 3),
            ("fsf", False, 3),
            ("ss", True, 2),
            ("ff", False, 2),
        ],
    )
    def test_the_majority_of_votes_decides(self, answers, success, asked):
        words = {"s": "[[success]]", "f": "[[failure]]"}
        model = Model(email=[words[one] for one in answers])
        assert run(MAIL, model, votes=3, content="Dinner").success is success
        assert model.asked.count("email") == asked

    @pytest.mark.parametrize("votes", [0, 2, -1])
    def test_votes_that_cannot_decide_are_refused(self, votes):
        with pytest.raises(A2PerfError, match=f"must be odd.*got {votes}"):
            SoftJudge(Model(), votes=votes)

    @pytest.mark.parametrize(
        ("reply", "outcome"),
        [(Reply("Good. [[success]]"), True), (Reply("Bad. [[failure]]"), False), ((500, {}), None)],
    )
    def test_a_real_endpoint_judges_or_is_to_blame(self, reply, outcome, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        with LlmServer(reply) as server:
            model = ChatModel("openai/judge", api_base=server.url, max_retries=0)

            def ask(messages):
                return model.complete(messages).text

            if outcome is None:
                with pytest.raises(InfraError):
                    run(MAIL, ask, content="Dinner")
            else:
                assert run(MAIL, ask, content="Dinner").success is outcome


class TestInContext:
    def judge(self, trace, model, log):
        return InContextJudge(trace, planned(trace), ask=model).judge(log)

    def test_one_question_a_turn(self):
        model = Model()
        log = played(planned(MAIL))
        log[-1].arguments["content"] = "Lunch on Tuesday, 12:00"
        assert self.judge(MAIL, model, log).success
        assert model.asked == ["in_context"]
        (text,) = model.texts
        assert "waits for: too" in text
        assert "content: Lunch at noon on Tuesday." in text
        assert "content: Lunch on Tuesday, 12:00" in text
        assert "time: 2024-10-15 07:00:00" in text
        assert "Do one thing." in text

    def test_reads_and_failures_are_not_shown(self):
        model = Model()
        log = played(planned(MAIL))
        for name in ("write", "error"):
            other = copy.deepcopy(log[-1])
            setattr(other, name, False if name == "write" else "boom")
            other.arguments["subject"] = "Secret"
            log.insert(0, other)
        self.judge(MAIL, model, log)
        assert "Secret" not in model.texts[0]

    def test_an_objection_rejects_the_turn(self):
        model = Model(in_context="There is no mail. [[failure]]")
        verdict = self.judge(
            MAIL, model, [one for one in played(planned(MAIL)) if one.kind != "AGENT"]
        )
        assert not verdict.success
        assert "There is no mail." in verdict.rationale
        assert "(no calls)" in model.texts[0]

    def test_an_outage_is_nobodys_fault(self):
        with pytest.raises(InfraError, match="no verdict on turn 1"):
            self.judge(MAIL, Model(in_context="?"), played(planned(MAIL)))


def test_the_time_of_the_scenario_is_todays_date():
    model = Model()
    run(one_call("Messages", "send_message", user_id="1", content="Hi"), model, content="Ho")
    assert START == 1728975600.0
    assert "<date>\n2024-10-15 Tuesday\n</date>" in model.texts[-1]
