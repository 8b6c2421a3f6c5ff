"""The user's contacts."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any, TypeVar

from pytest_a2perf.domains.assistant.apps.app import App, Clock, tool
from pytest_a2perf.domains.assistant.apps.results import plain
from pytest_a2perf.domains.assistant.apps.state import at, part
from pytest_a2perf.domains.assistant.errors import ToolError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["Contact", "ContactsApp", "Gender", "Status"]

E = TypeVar("E", bound=Enum)


class Gender(Enum):
    """Gender of a contact."""

    FEMALE = "Female"
    MALE = "Male"
    OTHER = "Other"
    UNKNOWN = "Unknown"


class Status(Enum):
    """What a contact does for a living."""

    STUDENT = "Student"
    EMPLOYED = "Employed"
    UNEMPLOYED = "Unemployed"
    RETIRED = "Retired"
    UNKNOWN = "Unknown"


@dataclass
class Contact:
    """Somebody whom the user knows, or (``is_user``) the user."""

    first_name: str
    last_name: str
    contact_id: str = ""
    is_user: bool = False
    gender: Gender = Gender.UNKNOWN
    age: int | None = None
    nationality: str | None = None
    city_living: str | None = None
    country: str | None = None
    status: Status = Status.UNKNOWN
    job: str | None = None
    description: str | None = None
    phone: str | None = None
    email: str | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        """Check what can be checked.

        Raises:
            ToolError: a name is missing, the age is not from 1 to 100, or a word is unknown.
        """
        for name in ("first_name", "last_name"):
            if getattr(self, name) is None:
                raise ToolError(f"a contact needs {name!r}")
        age: Any = self.age
        if age is not None and not (isinstance(age, int | float) and 1 <= age <= 100):
            raise ToolError(f"'age' should be from 1 to 100, not {age!r}")
        self.gender = _member(Gender, self.gender)
        self.status = _member(Status, self.status)

    def __str__(self) -> str:
        rows = {
            "Contact ID": self.contact_id,
            "First Name": self.first_name,
            "Last Name": self.last_name,
            "Gender": self.gender,
            "Age": self.age,
            "Nationality": self.nationality,
            "City Living": self.city_living,
            "Country": self.country,
            "Status": self.status,
            "Job": self.job,
            "Description": self.description,
            "Phone": self.phone,
            "Email": self.email,
            "Is User": self.is_user,
            "Address": self.address,
        }
        # As in ARE, a description of several lines leaves all others indented.
        lines = "".join(f"        {name}: {value}\n" for name, value in rows.items())
        return textwrap.dedent(f"\n{lines}")

    @property
    def name(self) -> str:
        """First and last name in small letters."""
        return f"{self.first_name} {self.last_name}".lower()

    def mentions(self, query: str) -> bool:
        """Return whether a text in small letters occurs, in any case, in name, phone or mail."""
        reverse = f"{self.last_name} {self.first_name}".lower()
        texts = (self.name, reverse, self.phone, self.email)
        return any(query in str(text).lower() for text in texts if text is not None)


class ContactsApp(App):
    """The user's contacts.

    Attributes:
        contacts: by id.
        view_limit: how many `get_contacts` shows at once.
    """

    classes = ("ContactsApp", "Contacts", "InternalContacts")

    def __init__(self, name: str, clock: Clock, *, seed: int = 0, app_class: str = "") -> None:
        super().__init__(name, clock, seed=seed, app_class=app_class)
        self.contacts: dict[str, Contact] = {}
        self.view_limit = 10

    def load_state(self, state: dict[str, Any]) -> None:
        """See `App.load_state`."""
        self.contacts = {}
        self.view_limit = part(state, "view_limit", self.view_limit)
        for key, data in part(state, "contacts", {}).items():
            with at(f"contacts.{key}"):
                self.contacts[key] = Contact(
                    first_name=data.get("first_name", ""),
                    last_name=data.get("last_name", ""),
                    contact_id=data.get("contact_id") or self.new_id(),
                    is_user=data.get("is_user", False),
                    gender=Gender(data.get("gender", "Unknown")),
                    age=data.get("age"),
                    nationality=data.get("nationality", ""),
                    city_living=data.get("city_living", ""),
                    country=data.get("country", ""),
                    status=Status(data.get("status", "Unknown")),
                    job=data.get("job", ""),
                    description=data.get("description", ""),
                    phone=data.get("phone", ""),
                    email=data.get("email", ""),
                    address=data.get("address", ""),
                )

    def get_state(self) -> dict[str, Any]:
        """See `App.get_state`."""
        return {"contacts": plain(self.contacts), "view_limit": self.view_limit}

    @tool("agent")
    def get_contacts(self, offset: int = 0) -> dict[str, Any]:
        """List contacts, a page at a time; ask again with a higher offset for the next page.

        Args:
            offset: how many contacts to skip.

        Returns:
            The contacts, the range of positions that they have, and how many there are in all.
        """
        total = len(self.contacts)
        end = offset + self.view_limit
        return {
            "contacts": list(self.contacts.values())[offset:end],
            "metadata": {"range": (offset, min(end, total)), "total": total},
        }

    @tool("agent")
    def get_contact(self, contact_id: str) -> Contact:
        """Show a contact.

        Args:
            contact_id: id of the contact.

        Returns:
            All that is known of the contact.
        """
        return self._get(contact_id)

    @tool("agent")
    def get_current_user_details(self) -> Contact:
        """Show the user's own contact: name, phone number, mail address, nationality and so on.

        Returns:
            All that is known of the user.
        """
        for contact in self.contacts.values():
            if contact.is_user:
                return contact
        raise ToolError("the user is not among the contacts")

    @tool("agent", write=True)
    def add_new_contact(  # noqa: PLR0917
        self,
        first_name: str,
        last_name: str,
        gender: str | None = None,
        age: int | None = None,
        nationality: str | None = None,
        city_living: str | None = None,
        country: str | None = None,
        status: str | None = None,
        job: str | None = None,
        description: str | None = None,
        phone: str | None = None,
        email: str | None = None,
        address: str | None = None,
    ) -> str:
        """Add a contact; there must be none of the same name yet.

        Args:
            first_name: first name.
            last_name: last name.
            gender: Male, Female, Other or Unknown; Unknown unless given.
            age: age in years, from 1 to 100.
            nationality: nationality.
            city_living: city where the contact lives.
            country: country where the contact lives.
            status: Student, Employed, Unemployed, Retired or Unknown; Unknown unless given.
            job: occupation.
            description: anything worth noting.
            phone: phone number.
            email: mail address.
            address: postal address.

        Returns:
            Id of the contact.
        """
        name = f"{first_name} {last_name}".lower()
        # Of several with the same name, ARE finds the last.
        for contact in reversed(self.contacts.values()):
            if contact.name == name:
                raise ToolError(f"{first_name} {last_name} is already there: {contact.contact_id}")
        contact = Contact(
            first_name=first_name,
            last_name=last_name,
            contact_id=self.new_id(),
            gender=Gender.UNKNOWN if gender is None else _exact(Gender, gender),
            age=age,
            nationality=nationality,
            city_living=city_living,
            country=country,
            status=Status.UNKNOWN if status is None else _exact(Status, status),
            job=job,
            description=description,
            phone=phone,
            email=email,
            address=address,
        )
        self.contacts[contact.contact_id] = contact
        return contact.contact_id

    @tool("agent", write=True)
    def edit_contact(self, contact_id: str, updates: dict[str, Any]) -> str:
        """Change some of what is known of a contact.

        Args:
            contact_id: id of the contact.
            updates: new values by name: first_name, last_name, gender, age, nationality,
                city_living, country, status, job, description, phone, email, address.

        Returns:
            Confirmation.
        """
        contact = self._get(contact_id)
        known = [field.name for field in fields(Contact)]
        for name in updates:
            if name not in known:
                raise ToolError(f"contacts have no {name!r}{did_you_mean(name, known)}")
        changed = replace(contact, **updates)
        changed.contact_id = changed.contact_id or self.new_id()
        self.contacts[contact_id] = changed
        return f"Contact {contact_id} updated successfully."

    @tool("agent", write=True)
    def delete_contact(self, contact_id: str) -> str:
        """Remove a contact.

        Args:
            contact_id: id of the contact.

        Returns:
            Confirmation.
        """
        self._get(contact_id)
        del self.contacts[contact_id]
        return f"Contact {contact_id} successfully deleted."

    @tool("agent")
    def search_contacts(self, query: str) -> list[Contact]:
        """Find the contacts in whose name, phone number or mail address a text occurs.

        Args:
            query: what to look for, e.g. part of a name; capitals make no difference.

        Returns:
            The contacts.
        """
        words = query.lower()
        return [contact for contact in self.contacts.values() if contact.mentions(words)]

    def _get(self, contact_id: str) -> Contact:
        if contact_id not in self.contacts:
            raise ToolError(f"there is no contact with id {contact_id!r}")
        return self.contacts[contact_id]


def _exact(kind: type[E], value: str) -> E:
    """Return a member by its value.

    Raises:
        ToolError: there is none.
    """
    try:
        return kind(value)
    except ValueError:
        valid = ", ".join(str(member.value) for member in kind)
        raise ToolError(f"{value!r} is no {kind.__name__.lower()}; valid: {valid}") from None


def _member(kind: type[E], value: Any) -> E:
    """Return a member by its name or value in any case, or a text such as ``Gender.MALE``.

    Raises:
        ToolError: there is none.
    """
    if isinstance(value, kind):
        return value
    word = str(value).rpartition(".")[2].lower()
    for member in kind:
        if word in {member.name.lower(), str(member.value).lower()}:
            return member
    return _exact(kind, value)
