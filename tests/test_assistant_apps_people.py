"""Apps of people: user, mail, messages, contacts, calendar, and the time.

Texts and values of results are those of ARE 1.2.0 for the same states and calls.
"""

from __future__ import annotations

import copy
import json

import pytest
from assistant_people import (
    CONTACT,
    CONVERSATION,
    EVENT,
    HOUR,
    MAIL,
    NAMES,
    NOW,
    STATES,
    Clock,
    Store,
    caller,
    make,
)
from hypothesis import given
from hypothesis import strategies as st

from pytest_a2perf.domains.assistant.apps import registry
from pytest_a2perf.domains.assistant.apps.app import App
from pytest_a2perf.domains.assistant.apps.results import plain, render
from pytest_a2perf.domains.assistant.apps.tools import tools_of
from pytest_a2perf.domains.assistant.apps.user_interface import Sender
from pytest_a2perf.domains.assistant.errors import ToolError, TraceError
from pytest_a2perf.domains.assistant.trace.models import App as AppSpec


class TestStates:
    @pytest.mark.parametrize("class_name", STATES)
    def test_are_exported_as_they_were_loaded(self, class_name):
        state = make(class_name).get_state()

        assert state == STATES[class_name]
        assert json.loads(json.dumps(state)) == state

    @pytest.mark.parametrize("class_name", STATES)
    def test_are_not_shared_with_the_scenario(self, class_name):
        state = copy.deepcopy(STATES[class_name])
        app = registry.make_app(
            AppSpec(name="A", class_name=class_name, app_state=state), Clock(), 0, None
        )
        call = caller(app)
        {
            "EmailClientV2": lambda: call("delete_email", email_id="m1"),
            "ContactsApp": lambda: call("delete_contact", contact_id="c1"),
            "CalendarApp": lambda: call("delete_calendar_event", event_id="e1"),
            "MessagingAppV2": lambda: call("send_message", user_id="u1", content="x"),
            "AgentUserInterface": lambda: call("get_all_messages"),
        }[class_name]()

        assert app.get_state() != state
        assert state == STATES[class_name]

    @pytest.mark.parametrize("state", [None, {}])
    @pytest.mark.parametrize("class_name", [*STATES, "SystemApp", "Mail", "Contacts", "Calendar"])
    def test_may_be_missing(self, class_name, state):
        spec = AppSpec(name="A", class_name=class_name, app_state=state)
        app = registry.make_app(spec, Clock(), 0, None)
        again = registry.make_app(
            spec.model_copy(update={"app_state": app.get_state()}), Clock(), 0, None
        )

        assert again.get_state() == app.get_state()

    def test_of_the_user_interface_begin_at_time_0(self):
        messages = STATES["AgentUserInterface"]["messages"]
        later = [
            {**each, "timestamp": each["timestamp"] + NOW, "time_read": read}
            for each, read in zip(messages, [None, NOW + 60], strict=True)
        ]

        assert make("AgentUserInterface", messages=later).get_state()["messages"] == messages

    @pytest.mark.parametrize(
        ("class_name", "state", "place"),
        [
            ("EmailClientV2", {"folders": []}, "folders: should be dict"),
            ("EmailClientV2", {"folders": {"SPAM": {"emails": []}}}, r"folders\.SPAM: 'SPAM'"),
            (
                "EmailClientV2",
                {"folders": {"SENT": {"emails": [MAIL, {**MAIL, "sender": "ann"}]}}},
                r"folders\.SENT\.emails\[1\]: 'ann' is no mail address",
            ),
            (
                "EmailClientV2",
                {"folders": {"SENT": {"emails": [{**MAIL, "colour": "red"}]}}},
                r"folders\.SENT\.emails\[0\]: .*colour",
            ),
            ("ContactsApp", {"contacts": {"x": {**CONTACT, "age": 0}}}, r"contacts\.x: 'age'"),
            (
                "ContactsApp",
                {"contacts": {"x": {**CONTACT, "gender": "?"}}},
                r"contacts\.x: .*'\?'",
            ),
            ("ContactsApp", {"contacts": {"x": None}}, r"contacts\.x: "),
            (
                "CalendarApp",
                {"events": {"x": {**EVENT, "end_datetime": 0}}},
                r"events\.x: .* ends? ",
            ),
            (
                "CalendarApp",
                {"events": {"x": {**EVENT, "end_datetime": "noon"}}},
                r"events\.x: 'end_d",
            ),
            ("MessagingAppV2", {"mode": "PIGEON"}, "mode: 'PIGEON'"),
            (
                "MessagingAppV2",
                {"conversations": {"x": {**CONVERSATION, "messages": [{}]}}},
                r"conversations\.x\.messages\[0\]: .*sender_id",
            ),
            ("AgentUserInterface", {"messages": [{"sender": "Cat"}]}, r"messages\[0\]: 'CAT'"),
            ("AgentUserInterface", {"messages": [{"sender": "User"}]}, r"messages\[0\]: 'content'"),
        ],
    )
    def test_that_an_app_cannot_have_are_errors_that_name_the_place(self, class_name, state, place):
        with pytest.raises(TraceError, match=f"^app 'Mine': {place}"):
            make(class_name, name="Mine", **state)


class TestRegistry:
    def test_knows_all_classes_of_are(self):
        assert set(registry.CLASSES) == {
            "AgentUserInterface", "ApartmentListingApp", "App", "CabApp", "Calendar", "CalendarApp",
            "CityApp", "Contacts", "ContactsApp", "EmailClientV2", "Files", "InternalContacts",
            "Mail", "MessagingAppV2", "RentAFlat", "SandboxLocalFileSystem", "Shopping",
            "ShoppingApp", "SystemApp", "VirtualFileSystem",
        }  # fmt: skip

    @pytest.mark.parametrize("class_name", registry.CLASSES)
    def test_makes_an_app_of_each_class(self, class_name, tmp_path):
        app = registry.make_app(AppSpec(name="Mine", class_name=class_name), Clock(), 3, tmp_path)

        assert isinstance(app, App)
        assert (app.name, app.app_class) == ("Mine", class_name)
        assert type(app) is registry.app_class(class_name)
        assert class_name in app.classes or class_name == "App"

    def test_takes_the_name_for_the_class_if_there_is_none(self):
        assert registry.make_app(AppSpec(name="Mail"), Clock(), 0, None).app_class == "Mail"

    def test_does_not_know_other_classes(self):
        with pytest.raises(TraceError, match=r"app 'Post': .*'EmailClientV3'.*'EmailClientV2'"):
            make("EmailClientV3", name="Post")

    def test_connects_mail_and_messages_with_the_first_files_that_there_are(self, tmp_path):
        apps = [
            registry.make_app(AppSpec(name=name, class_name=name), Clock(), 0, tmp_path)
            for name in (
                "EmailClientV2",
                "Contacts",
                "VirtualFileSystem",
                "Files",
                "MessagingAppV2",
            )
        ]
        registry.connect(apps)

        assert apps[0].files is apps[4].files is apps[2]

    def test_ids_depend_on_seed_and_name_and_nothing_else(self):
        def first(**options):
            return caller(make("CalendarApp", **options))("add_calendar_event")

        assert first() == first()
        assert len({first(), first(seed=1), first(name="Other")}) == 3


class TestResults:
    @pytest.mark.parametrize(
        ("result", "text"),
        [(None, "None"), ("", "No observation"), (" a\n", "a"), ((1, "b"), "(1, 'b')")],
    )
    def test_are_shown_as_in_are(self, result, text):
        assert render(result) == text

    def test_become_json(self):
        result = {1: (None, True), "b": {"z", "a"}, "c": b"ab", "d": Sender.USER, "e": Clock}

        assert plain(result) == {
            "1": [None, True],
            "b": ["a", "z"],
            "c": "ab",
            "d": "User",
            "e": str(Clock),
        }


class TestUserInterface:
    def test_the_agent_can_write_only(self):
        app = make("AgentUserInterface")

        assert [tool.function for tool in tools_of(app, "agent")] == ["send_message_to_user"]
        assert [tool.function for tool in tools_of(app, "user")] == ["send_message_to_agent"]

    def test_keeps_what_is_written(self):
        app = make("AgentUserInterface", messages=[])
        call = caller(app)

        assert call("send_message_to_user", content="Done") is None
        message_id = call("send_message_to_agent", content="Thanks", attachments=["a.txt"])
        assert [plain(message) for message in call("get_last_unread_messages")] == [
            {
                "sender": "User",
                "content": "Thanks",
                "attachments": ["a.txt"],
                "timestamp": NOW,
                "time_read": NOW,
                "id": message_id,
            }
        ]
        assert call("get_last_unread_messages") == []
        assert call("get_last_message_from_agent").content == "Done"
        assert call("get_last_message_from_agent").time_read == NOW

    def test_shows_messages_as_text(self):
        call = caller(make("AgentUserInterface"))

        assert str(call("get_last_message_from_user")) == (
            "Received at: 1970-01-01 00:00:00\nSender: User\nMessage: Hello\n"
            "Already read: True\nRead at: 2024-10-15 07:00:00"
        )

    def test_lists_the_newest_message_first(self):
        messages = caller(make("AgentUserInterface"))("get_all_messages")

        assert [message.content for message in messages] == ["Yes?", "Hello"]
        assert all(message.time_read == NOW for message in messages)

    def test_has_nothing_at_first(self):
        call = caller(make("AgentUserInterface", messages=[]))

        assert call("get_last_message_from_user") is None
        assert call("get_last_message_from_agent") is None


class TestSystem:
    def test_tells_the_time(self):
        assert caller(make("SystemApp"))("get_current_time") == {
            "current_timestamp": NOW,
            "current_datetime": "2024-10-15 07:00:00",
            "current_weekday": "Tuesday",
        }

    @pytest.mark.parametrize(("timeout", "seconds"), [(60, 60), ("60", 60), (2.9, 2), (0, 0)])
    def test_waits_as_the_world_lets_it(self, timeout, seconds):
        app = make("SystemApp")
        waited = []
        app.wait = waited.append

        assert caller(app)("wait_for_notification", timeout=timeout) is None
        assert waited == [seconds]

    @pytest.mark.parametrize("timeout", [-1, "soon", None, [], float("inf")])
    def test_waits_for_no_other_time(self, timeout):
        app = make("SystemApp")
        app.wait = pytest.fail

        with pytest.raises(ToolError):
            caller(app)("wait_for_notification", timeout=timeout)


class TestEmail:
    def test_is_listed_with_everything(self):
        result = caller(make("EmailClientV2"))("list_emails")

        assert render(result) == (
            "ReturnedEmails(emails=[Email(sender='ann@example.com', recipients=['me@example.com'], "
            "subject='Lunch', content='At noon?', email_id='m1', parent_id=None, cc=[], "
            "attachments={'menu.txt': 'c291cA=='}, timestamp=1728972000.0, is_read=False)], "
            "emails_range=(0, 1), total_returned_emails=2, total_emails=1)"
        )

    def test_is_shown_as_text_and_then_counts_as_read(self):
        app = make("EmailClientV2")

        assert render(caller(app)("get_email_by_id", email_id="m1", folder_name="inbox")) == (
            "From: ann@example.com\nTo: me@example.com\nCC: \nSubject: Lunch\nContent: At noon?"
        )
        assert app.get_state()["folders"]["INBOX"]["emails"][0]["is_read"]

    def test_is_found_by_its_position(self):
        call = caller(make("EmailClientV2"))

        assert call("get_email_by_index", idx=0).is_read
        with pytest.raises(ToolError, match="none at 1"):
            call("get_email_by_index", idx=1)

    def test_is_sent(self):
        app = make("EmailClientV2")
        app.files = Store(**{"/in/a.txt": b"soup"})
        sent = caller(app)(
            "send_email",
            recipients=["bob@example.com"],
            subject="Plan",
            content="See you",
            cc=["zoe@example.com"],
            attachment_paths=["/in/a.txt"],
        )

        assert app.get_state()["folders"]["SENT"]["emails"] == [
            {
                "sender": "me@example.com",
                "recipients": ["bob@example.com"],
                "subject": "Plan",
                "content": "See you",
                "email_id": sent,
                "parent_id": None,
                "cc": ["zoe@example.com"],
                "attachments": {"a.txt": "c291cA=="},
                "timestamp": NOW,
                "is_read": False,
            }
        ]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"recipients": ["bob"]}, "'bob' is no mail address"),
            ({"cc": ["bob"]}, "'bob' is no mail address"),
            ({"attachment_paths": ["/no"]}, "no file '/no'"),
        ],
    )
    def test_is_not_sent_if_it_cannot_be(self, arguments, message):
        app = make("EmailClientV2")

        with pytest.raises(ToolError, match=message):
            caller(app)("send_email", **arguments)
        assert app.get_state() == STATES["EmailClientV2"]

    def test_is_answered_by_the_user_and_by_others(self):
        app = make("EmailClientV2")
        call = caller(app)
        sent = call("reply_to_email", email_id="m1", content="Yes.")
        answer = call(
            "reply_to_email_from_user", sender="ann@example.com", email_id=sent, content="Good."
        )

        folders = app.get_state()["folders"]
        first = folders["SENT"]["emails"][0]
        assert (first["subject"], first["parent_id"]) == ("Re: Lunch", "m1")
        assert first["recipients"] == ["ann@example.com"]
        newest = folders["INBOX"]["emails"][0]
        assert (newest["email_id"], newest["parent_id"]) == (answer, sent)
        assert newest["subject"] == "Re: Re: Lunch"
        with pytest.raises(ToolError, match="has not received mail"):
            call("reply_to_email_from_user", sender="bob@example.com", email_id=sent)

    def test_of_the_user_is_answered_to_whom_it_went_on_from(self):
        app = make("EmailClientV2")
        call = caller(app)
        sent = call("reply_to_email", email_id="m1")
        call("reply_to_email", email_id=sent, folder_name="SENT", content="And bring soup.")

        assert {
            tuple(mail["recipients"]) for mail in app.get_state()["folders"]["SENT"]["emails"]
        } == {("ann@example.com",)}

    def test_answers_in_a_circle_are_an_error(self):
        own = {**MAIL, "sender": "me@example.com"}
        circle = [
            {**own, "email_id": "a", "parent_id": "b"},
            {**own, "email_id": "b", "parent_id": "a"},
        ]
        app = make("EmailClientV2", folders={"INBOX": {"emails": circle}})

        with pytest.raises(ToolError, match="circle"):
            caller(app)("reply_to_email", email_id="a")

    def test_is_forwarded_with_its_attachments(self):
        app = make("EmailClientV2")
        caller(app)("forward_email", email_id="m1", recipients=["bob@example.com"])

        folders = app.get_state()["folders"]
        sent = folders["SENT"]["emails"][0]
        assert (sent["subject"], sent["content"]) == ("FWD: Lunch", "> At noon?")
        assert (sent["attachments"], sent["parent_id"]) == (MAIL["attachments"], "m1")
        assert folders["INBOX"]["emails"][0]["is_read"]

    def test_is_moved_and_thrown_away(self):
        app = make("EmailClientV2")
        call = caller(app)

        assert call("move_email", email_id="m1", dest_folder_name="Draft") == "m1"
        assert call("delete_email", email_id="m1", folder_name="DRAFT") == "m1"
        assert [mail.email_id for mail in call("list_emails", folder_name="TRASH").emails] == ["m1"]
        assert call("list_emails").total_emails == 0
        with pytest.raises(ToolError, match="no mail with id 'm1' in INBOX"):
            call("delete_email", email_id="m1")
        with pytest.raises(ToolError, match="no folder 'TRAHS'; did you mean 'TRASH'"):
            call("list_emails", folder_name="TRAHS")

    def test_comes_from_others_and_the_newest_is_first(self):
        app = make("EmailClientV2")
        call = caller(app)
        first = call("send_email_to_user_only", sender="bob@example.com", subject="One")
        app.clock.now += HOUR
        second = call(
            "create_and_add_email", sender="zoe@example.com", recipients=["x@example.com"]
        )
        third = call(
            "create_and_add_email_with_time",
            sender="zoe@example.com",
            email_time="2024-10-15 05:00:00",
        )

        result = call("list_emails", limit=3)
        assert [mail.email_id for mail in result.emails] == [second, first, "m1"]
        assert result.emails[1].recipients == ["me@example.com"]
        assert call("get_email_by_index", idx=3).email_id == third
        with pytest.raises(ToolError, match="no folder 'inbox'"):
            call("create_and_add_email", sender="zoe@example.com", folder_name="inbox")
        with pytest.raises(ToolError, match="from 0 to 4"):
            call("list_emails", offset=5)

    @pytest.mark.parametrize(
        ("query", "found"), [("LUNCH", 1), ("ann@", 1), ("me@", 1), ("noon", 1), ("bob", 0)]
    )
    def test_is_found_by_a_text(self, query, found):
        assert len(caller(make("EmailClientV2"))("search_emails", query=query)) == found

    def test_attachments_become_files(self):
        app = make("EmailClientV2")
        call = caller(app)
        with pytest.raises(ToolError, match="no file system"):
            call("download_attachments", email_id="m1")

        app.files = Store()
        assert call("download_attachments", email_id="m1") == ["Downloads/menu.txt"]
        assert app.files.files == {"Downloads/menu.txt": b"soup"}

    def test_attachments_that_are_damaged_are_an_error(self):
        app = make(
            "EmailClientV2", folders={"INBOX": {"emails": [{**MAIL, "attachments": {"a": "x"}}]}}
        )
        app.files = Store()

        with pytest.raises(ToolError, match="'a' is damaged"):
            caller(app)("download_attachments", email_id="m1")


class TestFilesOfTheWorld:
    @pytest.mark.parametrize("class_name", ["VirtualFileSystem", "Files"])
    def test_travel_by_mail_and_message(self, class_name, tmp_path):
        files = registry.make_app(
            AppSpec(name="Files", class_name=class_name), Clock(), 0, tmp_path
        )
        mail, chats = make("EmailClientV2"), make("MessagingAppV2")
        registry.connect([files, mail, chats])
        caller(files)("mkdir", path="Downloads")

        [saved] = caller(mail)("download_attachments", email_id="m1")
        caller(chats)("send_message", user_id="u1", attachment_path=saved)
        message = chats.conversations["v1"].messages[-1]
        assert (message.attachment_name, message.attachment) == ("menu.txt", "c291cA==")

    @pytest.mark.parametrize("class_name", ["VirtualFileSystem", "Files"])
    def test_stay_inside(self, class_name, tmp_path):
        files = registry.make_app(
            AppSpec(name="Files", class_name=class_name), Clock(), 0, tmp_path / "in"
        )
        evil = {**MAIL, "attachments": {"../../../evil.txt": "c291cA=="}}
        mail = make("EmailClientV2", folders={"INBOX": {"emails": [evil]}})
        registry.connect([files, mail])

        with pytest.raises(ToolError):
            caller(mail)("download_attachments", email_id="m1", path_to_save="/")
        with pytest.raises(ToolError):
            caller(mail)("send_email", attachment_paths=["../../../../etc/passwd"])
        assert not list(tmp_path.rglob("evil.txt"))


class TestContacts:
    def test_are_listed_with_everything(self):
        assert render(caller(make("ContactsApp"))("get_contacts")) == (
            "{'contacts': [Contact(first_name='Ann', last_name='Bell', contact_id='c1', is_user=True, "
            "gender=<Gender.FEMALE: 'Female'>, age=40, nationality='French', city_living='Paris', "
            "country='France', status=<Status.EMPLOYED: 'Employed'>, job='Cook', "
            "description='Two\\nlines', phone='+331', email='ann@example.com', address='1 Rue')], "
            "'metadata': {'range': (0, 1), 'total': 1}}"
        )

    def test_are_shown_as_text(self):
        call = caller(make("ContactsApp", contacts={"c1": {**CONTACT, "description": "Kind"}}))

        assert str(call("get_contact", contact_id="c1")) == (
            "\nContact ID: c1\nFirst Name: Ann\nLast Name: Bell\nGender: Gender.FEMALE\nAge: 40\n"
            "Nationality: French\nCity Living: Paris\nCountry: France\nStatus: Status.EMPLOYED\n"
            "Job: Cook\nDescription: Kind\nPhone: +331\nEmail: ann@example.com\nIs User: True\n"
            "Address: 1 Rue\n"
        )

    def test_with_text_of_several_lines_are_indented_as_in_are(self):
        text = str(caller(make("ContactsApp"))("get_current_user_details"))

        assert text.startswith("\n        Contact ID: c1\n        First Name: Ann\n")
        assert "        Description: Two\nlines\n        Phone: +331\n" in text

    def test_are_added_once(self):
        app = make("ContactsApp")
        call = caller(app)
        new = call("add_new_contact", first_name="Bob", last_name="Day", gender="Male", age=30)

        assert plain(call("get_contact", contact_id=new)) == {
            "first_name": "Bob", "last_name": "Day", "contact_id": new, "is_user": False,
            "gender": "Male", "age": 30, "nationality": None, "city_living": None, "country": None,
            "status": "Unknown", "job": None, "description": None, "phone": None, "email": None,
            "address": None,
        }  # fmt: skip
        with pytest.raises(ToolError, match=f"already there: {new}"):
            call("add_new_contact", first_name="BOB", last_name="day")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"gender": "male"}, "'male' is no gender; valid: Female, Male"),
            ({"status": "Busy"}, "'Busy' is no status"),
            ({"age": 101}, "from 1 to 100"),
        ],
    )
    def test_are_not_added_if_they_cannot_be(self, arguments, message):
        app = make("ContactsApp")

        with pytest.raises(ToolError, match=message):
            caller(app)("add_new_contact", first_name="Bob", last_name="Day", **arguments)
        assert len(app.contacts) == 1

    def test_are_changed(self):
        app = make("ContactsApp")
        updates = {"gender": "Gender.MALE", "status": "retired", "phone": None, "age": 70}

        assert caller(app)("edit_contact", contact_id="c1", updates=updates) == (
            "Contact c1 updated successfully."
        )
        changed = {"gender": "Male", "status": "Retired", "phone": None, "age": 70}
        assert app.get_state()["contacts"]["c1"] == {**CONTACT, **changed}

    @pytest.mark.parametrize(
        ("updates", "message"),
        [
            ({"age": 300}, "from 1 to 100"),
            ({"age": "old"}, "from 1 to 100"),
            ({"first_name": None}, "first_name"),
            ({"age": 41, "adress": "2 Rue"}, "no 'adress'; did you mean 'address'"),
            ({"gender": "?"}, "is no gender"),
        ],
    )
    def test_stay_as_they_are_if_a_change_is_wrong(self, updates, message):
        app = make("ContactsApp")

        with pytest.raises(ToolError, match=message):
            caller(app)("edit_contact", contact_id="c1", updates=updates)
        assert app.get_state() == STATES["ContactsApp"]

    def test_are_removed(self):
        app = make("ContactsApp")
        call = caller(app)

        assert call("delete_contact", contact_id="c1") == "Contact c1 successfully deleted."
        for name in ("delete_contact", "get_contact"):
            with pytest.raises(ToolError, match="no contact with id 'c1'"):
                call(name, contact_id="c1")
        with pytest.raises(ToolError, match="the user is not among"):
            call("get_current_user_details")

    @pytest.mark.parametrize(
        ("query", "found"),
        [("BELL ANN", 1), ("ann b", 1), ("+33", 1), ("@example", 1), ("Cook", 0), ("", 1)],
    )
    def test_are_found_by_name_phone_and_mail(self, query, found):
        assert len(caller(make("ContactsApp"))("search_contacts", query=query)) == found

    def test_come_in_pages(self):
        many = {f"c{n}": {**CONTACT, "contact_id": f"c{n}"} for n in range(5)}
        call = caller(make("ContactsApp", contacts=many, view_limit=2))

        page = call("get_contacts", offset=4)
        assert [contact.contact_id for contact in page["contacts"]] == ["c4"]
        assert page["metadata"] == {"range": (4, 5), "total": 5}


class TestCalendar:
    def test_is_read_for_today(self):
        assert render(caller(make("CalendarApp"))("read_today_calendar_events")) == (
            "{'events': [CalendarEvent(event_id='e1', title='Lunch', start_datetime=1728990000.0, "
            "end_datetime=1728993600.0, tag='food', description=None, location='Cafe', "
            "attendees=['Ann Bell'], start_strftime='Tuesday, 2024-10-15 11:00:00', "
            "end_strftime='Tuesday, 2024-10-15 12:00:00')], 'range': (0, 1), 'total': 1}"
        )

    def test_shows_events_as_text(self):
        assert str(caller(make("CalendarApp"))("get_calendar_event", event_id="e1")) == (
            "EventID: e1\nTitle: Lunch\nStart: 2024-10-15 11:00:00+00:00\n"
            "End: 2024-10-15 12:00:00+00:00\nTag: food\nDescription: None\nLocation: Cafe\n"
            "Attendees: Ann Bell"
        )

    def test_gets_events_that_last_an_hour_from_now_unless_told(self):
        app = make("CalendarApp")
        app.clock.now += 0.75
        new = caller(app)("add_calendar_event", title="Nap")

        assert plain(app.events[new]) == {
            "event_id": new, "title": "Nap", "start_datetime": NOW, "end_datetime": NOW + HOUR,
            "tag": None, "description": None, "location": None, "attendees": [],
            "start_strftime": "Tuesday, 2024-10-15 07:00:00",
            "end_strftime": "Tuesday, 2024-10-15 08:00:00",
        }  # fmt: skip

    def test_gets_events_of_others_who_take_part(self):
        app = make("CalendarApp")
        call = caller(app)
        given_attendees = ["Ann Bell"]
        new = call(
            "add_calendar_event_by_attendee", who_add="Bob", title="Tea", attendees=given_attendees
        )

        event = app.events[new]
        assert (event.title, event.description) == (
            "Event created by Bob: Tea",
            "Event created by Bob",
        )
        assert event.attendees == ["Ann Bell", "Bob"]
        assert given_attendees == ["Ann Bell"]
        with pytest.raises(ToolError, match="Zoe does not take part"):
            call("delete_calendar_event_by_attendee", event_id=new, who_delete="Zoe")
        assert call("delete_calendar_event_by_attendee", event_id=new, who_delete="Bob") == (
            f"Event {new} successfully deleted by Bob."
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"start_datetime": "noon"}, "'noon' is no time"),
            ({"start_datetime": "2024-10-15"}, "is no time"),
            ({"start_datetime": "2024-10-16 00:00:00"}, "cannot end before it starts"),
        ],
    )
    def test_gets_no_other_events(self, arguments, message):
        app = make("CalendarApp")

        with pytest.raises(ToolError, match=message):
            caller(app)("add_calendar_event", **arguments)
        assert app.get_state() == STATES["CalendarApp"]

    @pytest.mark.parametrize(
        ("start", "end", "found"),
        [
            ("11:59:59", "13:00:00", 1),
            ("12:00:00", "13:00:00", 0),
            ("10:00:00", "11:00:00", 0),
            ("10:00:00", "11:00:01", 1),
        ],
    )
    def test_events_that_only_touch_a_span_are_not_in_it(self, start, end, found):
        result = caller(make("CalendarApp"))(
            "get_calendar_events_from_to",
            start_datetime=f"2024-10-15 {start}",
            end_datetime=f"2024-10-15 {end}",
        )

        assert result["total"] == found

    def test_finds_events_by_tag_and_text(self):
        call = caller(make("CalendarApp"))

        assert call("get_all_tags") == ["food"]
        assert [event.event_id for event in call("get_calendar_events_by_tag", tag="food")] == [
            "e1"
        ]
        assert call("get_calendar_events_by_tag", tag="Food") == []
        assert [event.event_id for event in call("search_events", query="BELL")] == ["e1"]
        assert call("search_events", query="food") == []
        with pytest.raises(ToolError, match="say which tag"):
            call("get_calendar_events_by_tag", tag="")

    def test_events_are_deleted_and_set(self):
        app = make("CalendarApp")
        call = caller(app)

        assert call("delete_calendar_event", event_id="e1") == "Event e1 successfully deleted."
        with pytest.raises(ToolError, match="no event with id 'e1'"):
            call("delete_calendar_event", event_id="e1")
        call("set_calendar_event", event=EVENT)
        assert app.get_state() == STATES["CalendarApp"]
        with pytest.raises(ToolError, match="colour"):
            call("set_calendar_event", event={"colour": "red"})


class TestMessaging:
    def test_is_read_newest_first(self):
        app = make("MessagingAppV2")
        call = caller(app)
        call("create_and_add_message", conversation_id="v1", sender_id="u1", content="There?")

        result = call("read_conversation", conversation_id="v1", limit=1)
        assert [message.content for message in result["messages"]] == ["There?"]
        assert result["metadata"] == {
            "message_range": (0, 1),
            "conversation_length": 2,
            "conversation_id": "v1",
            "conversation_title": "Ann Bell",
        }
        old = call("read_conversation", conversation_id="v1", max_date="2024-10-15 06:00:00")
        assert [message.content for message in old["messages"]] == ["Hi"]

    def test_is_listed_as_in_are(self):
        assert render(caller(make("MessagingAppV2"))("list_recent_conversations")) == (
            "[ConversationV2(participant_ids=['u0', 'u1'], messages=[MessageV2(sender_id='u1', "
            "message_id='s1', timestamp=1728972000.0, content='Hi')], title='Ann Bell', "
            "conversation_id='v1', last_updated=1728972000.0)]"
        )

    def test_people_are_found_by_name(self):
        call = caller(make("MessagingAppV2"))

        assert call("get_user_id", user_name="Ann Bell") == "u1"
        assert call("get_user_id", user_name="ann bell") is None
        assert call("get_user_name_from_id", user_id="u3") == "Zoe Day"
        assert call("get_user_name_from_id", user_id="u9") is None
        assert call("lookup_user_id", user_name=" ann bel") == {"Ann Bell": "u1"}
        assert call("lookup_user_id", user_name="Max") == {}

    def test_goes_to_the_conversation_with_one_person_or_begins_it(self):
        app = make("MessagingAppV2")
        call = caller(app)

        assert call("send_message", user_id="u1", content="Yes") == "v1"
        new = call("send_message", user_id="u3", content="Hello")
        assert call("send_message", user_id="u3", content="Again") == new
        conversation = app.conversations[new]
        assert (conversation.title, conversation.participant_ids) == ("Zoe Day", ["u0", "u3"])
        assert [message.content for message in conversation.messages] == ["Hello", "Again"]
        assert conversation.last_updated == NOW
        with pytest.raises(ToolError, match="no user with id 'u9'"):
            call("send_message", user_id="u9")

    def test_a_conversation_with_a_title_of_its_own_is_another(self):
        app = make("MessagingAppV2")
        call = caller(app)
        call("change_conversation_title", conversation_id="v1", title="Trip")

        new = call("send_message", user_id="u1")
        assert new != "v1"
        assert call("get_existing_conversation_ids", user_ids=["u1"]) == ["v1", new]

    def test_needs_to_know_the_user(self):
        for user in (None, "u9"):
            with pytest.raises(ToolError, match="does not know the user"):
                caller(make("MessagingAppV2", current_user_id=user))("send_message", user_id="u1")

    def test_groups_have_three_or_more(self):
        app = make("MessagingAppV2")
        call = caller(app)
        with pytest.raises(ToolError, match="two others"):
            call("create_group_conversation", user_ids=["u1"])
        with pytest.raises(ToolError, match="no group"):
            call("send_message_to_group_conversation", conversation_id="v1", content="All?")

        group = call("create_group_conversation", user_ids=["u3", "u1"])
        assert app.conversations[group].title == "Ann Bell, Zoe Day"
        assert call("send_message_to_group_conversation", conversation_id=group) == group

    def test_titles_made_of_names_follow_the_participants(self):
        app = make("MessagingAppV2")
        call = caller(app)
        call("add_participant_to_conversation", conversation_id="v1", user_id="u3")
        assert app.conversations["v1"].title == "Ann Bell, Zoe Day"
        call("remove_participant_from_conversation", conversation_id="v1", user_id="u1")
        assert app.conversations["v1"].title == "Zoe Day"
        call("change_conversation_title", conversation_id="v1", title="Trip")
        call("add_participant_to_conversation", conversation_id="v1", user_id="u1")
        assert app.conversations["v1"].title == "Trip"

        with pytest.raises(ToolError, match="already takes part"):
            call("add_participant_to_conversation", conversation_id="v1", user_id="u1")
        with pytest.raises(ToolError, match="takes no part"):
            call("remove_participant_from_conversation", conversation_id="v1", user_id="u2")
        with pytest.raises(ToolError, match="takes no part"):
            call("create_and_add_message", conversation_id="v1", sender_id="u2", content="x")

    def test_goes_to_any_phone_number_where_ids_are_numbers(self):
        app = make("MessagingAppV2", mode="PHONE_NUMBER")
        new = caller(app)("send_message", user_id="+4412", content="Hello")

        assert app.conversations[new].title == "+4412"
        with pytest.raises(ToolError, match="'Bob' is no phone number"):
            caller(app)("send_message", user_id="Bob")

    def test_lists_have_limits(self):
        call = caller(make("MessagingAppV2"))
        for name, arguments in [
            ("list_recent_conversations", {}),
            ("list_conversations_by_participant", {"user_id": "u1"}),
        ]:
            assert len(call(name, **arguments)) == 1
            assert call(name, **arguments, offset=1) == []
            for wrong, message in [
                ({"limit": 6}, "5 at most"),
                ({"offset": 2}, "from 0 to 1"),
                ({"offset": -1}, "from 0 to 1"),
                ({"limit_recent_messages_per_conversation": 11}, "10 at most"),
                ({"offset_recent_messages_per_conversation": -1}, "not be negative"),
            ]:
                with pytest.raises(ToolError, match=message):
                    call(name, **arguments, **wrong)

    def test_the_conversation_that_has_changed_last_comes_first(self):
        app = make("MessagingAppV2")
        call = caller(app)
        new = call("send_message", user_id="u3")
        app.clock.now += HOUR
        call("add_message", conversation_id="v1", sender_id="u1", content="Hi", timestamp=NOW + 1)

        assert [found.conversation_id for found in call("list_recent_conversations")] == ["v1", new]

    def test_files_travel_with_messages(self):
        app = make("MessagingAppV2")
        app.files = Store(**{"/in/a.txt": b"soup"})
        call = caller(app)
        call("send_message", user_id="u1", content="Look", attachment_path="/in/a.txt")
        message = app.conversations["v1"].messages[-1]

        assert call("download_attachment", conversation_id="v1", message_id=message.message_id) == (
            "Downloads/a.txt"
        )
        assert app.files.files["Downloads/a.txt"] == b"soup"
        assert make("MessagingAppV2", **app.get_state()).get_state() == app.get_state()
        with pytest.raises(ToolError, match="no message 's1' with a file"):
            call("download_attachment", conversation_id="v1", message_id="s1")
        with pytest.raises(ToolError, match="no file '/no'"):
            call("send_message", user_id="u1", attachment_path="/no")

    @pytest.mark.parametrize(
        ("query", "dates", "found"),
        [
            ("HI", {}, True),
            ("bell", {}, True),
            ("U1", {}, True),
            ("h.", {}, False),
            ("hi", {"min_date": "2024-10-15 06:00:01"}, False),
        ],
    )
    def test_is_found_by_a_text(self, query, dates, found):
        result = caller(make("MessagingAppV2"))("search", query=query, **dates)

        assert result == ["v1"] * found

    def test_is_found_by_a_regular_expression(self):
        call = caller(make("MessagingAppV2"))

        assert call("regex_search", query="^H.$") == ["v1"]
        assert call("regex_search", query="^ann") == ["v1"]
        with pytest.raises(ToolError, match=r"'\(' is no regular expression"):
            call("regex_search", query="(")

    @given(
        st.lists(
            st.tuples(st.sampled_from("ar"), st.sampled_from(sorted(NAMES.values()))), max_size=12
        )
    )
    def test_nobody_takes_part_twice_and_the_title_names_who_does(self, steps):
        app = make("MessagingAppV2")
        call = caller(app)
        names = {
            "a": "add_participant_to_conversation",
            "r": "remove_participant_from_conversation",
        }
        expected = ["u0", "u1"]
        for step, user_id in steps:
            if (user_id in expected) == (step == "a"):
                with pytest.raises(ToolError):
                    call(names[step], conversation_id="v1", user_id=user_id)
                continue
            call(names[step], conversation_id="v1", user_id=user_id)
            expected = (
                [*expected, user_id] if step == "a" else [u for u in expected if u != user_id]
            )
        conversation = app.conversations["v1"]

        others = sorted(
            name for name, user_id in NAMES.items() if user_id in expected and user_id != "u0"
        )
        assert conversation.participant_ids == expected
        assert conversation.title == ", ".join(others)
