"""Flats for rent: listings, searching, favourites."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import ConfigDict

from pytest_a2perf.domains.assistant.apps.app import App, Clock, tool
from pytest_a2perf.domains.assistant.apps.records import Number, records
from pytest_a2perf.domains.assistant.apps.results import plain
from pytest_a2perf.domains.assistant.errors import ToolError, TraceError

__all__ = ["Apartment", "ApartmentListingApp"]


@dataclass
class Apartment:
    """A flat for rent."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    location: str
    zip_code: str | int
    price: Number
    bedrooms: Number
    bathrooms: Number
    property_type: str
    square_footage: Number
    furnished_status: str | None = ""
    floor_level: str | None = ""
    pet_policy: str | None = ""
    lease_term: str | None = ""
    apartment_id: str = ""
    amenities: list[str] | None = field(default_factory=list)
    saved: bool = False


class ApartmentListingApp(App):
    """Listings of flats, and which of them are the user's favourites."""

    classes = ("ApartmentListingApp", "RentAFlat")

    def __init__(self, name: str, clock: Clock, *, seed: int = 0, app_class: str = "") -> None:
        super().__init__(name, clock, seed=seed, app_class=app_class)
        self.apartments: dict[str, Apartment] = {}
        self.saved: list[str] = []

    def load_state(self, state: dict[str, Any]) -> None:
        """See `App.load_state`."""
        self.apartments = records(dict[str, Apartment], state, "apartments")
        self.saved = records(list[str], state, "saved_apartments")
        for apartment_id, apartment in self.apartments.items():
            apartment.apartment_id = apartment_id
        for apartment_id in self.saved:
            if apartment_id not in self.apartments:
                raise TraceError(f"saved_apartments: there is no apartment {apartment_id!r}")
            self.apartments[apartment_id].saved = True

    def get_state(self) -> dict[str, Any]:
        """See `App.get_state`."""
        return {"apartments": plain(self.apartments), "saved_apartments": list(self.saved)}

    @tool("env", write=True)
    def add_new_apartment(  # noqa: PLR0917 - the order of ARE
        self,
        name: str,
        location: str,
        zip_code: str,
        price: float,
        number_of_bedrooms: int,
        number_of_bathrooms: int,
        square_footage: int,
        property_type: str = "",
        furnished_status: str = "",
        floor_level: str = "",
        pet_policy: str = "",
        lease_term: str = "",
        amenities: list[str] | None = None,
    ) -> str:
        """Add a listing.

        Args:
            name: of the apartment.
            location: where it is.
            zip_code: of its location.
            price: rent for a month.
            number_of_bedrooms: its bedrooms.
            number_of_bathrooms: its bathrooms.
            square_footage: its size in square feet.
            property_type: e.g. "Apartment" or "Condo".
            furnished_status: "Furnished", "Unfurnished" or "Semi-furnished".
            floor_level: e.g. "Ground floor", "Upper floors", "Penthouse" or "Basement".
            pet_policy: e.g. "Pets allowed", "No pets", "Cats allowed" or "Dogs allowed".
            lease_term: e.g. "Month-to-month", "6 months", "1 year" or "Long term lease".
            amenities: what else it offers, e.g. ["Pool", "Gym"].

        Returns:
            Id of the apartment.
        """
        apartment_id = self.new_id()
        self.apartments[apartment_id] = Apartment(
            name=name,
            location=location,
            zip_code=zip_code,
            price=price,
            bedrooms=number_of_bedrooms,
            bathrooms=number_of_bathrooms,
            property_type=property_type,
            square_footage=square_footage,
            furnished_status=furnished_status,
            floor_level=floor_level,
            pet_policy=pet_policy,
            lease_term=lease_term,
            apartment_id=apartment_id,
            amenities=list(amenities or []),
        )
        return apartment_id

    @tool("env", write=True)
    def update_apartment(self, apartment_id: str, new_price: float) -> str:
        """Change the rent of a listing.

        Args:
            apartment_id: id of the apartment.
            new_price: rent for a month.

        Returns:
            Id of the apartment.
        """
        self._apartment(apartment_id).price = new_price
        return apartment_id

    @tool("env", write=True)
    def delete_apartment(self, apartment_id: str) -> None:
        """Remove a listing.

        Args:
            apartment_id: id of the apartment.
        """
        self._apartment(apartment_id)
        del self.apartments[apartment_id]
        if apartment_id in self.saved:
            self.saved.remove(apartment_id)

    @tool("agent")
    def list_all_apartments(self) -> dict[str, Any]:
        """List all apartments with all details.

        Returns:
            A dictionary of apartment ids to apartments.
        """
        return copy.deepcopy(self.apartments)

    @tool("agent")
    def get_apartment_details(self, apartment_id: str) -> Apartment:
        """Show an apartment with all details.

        Args:
            apartment_id: id of the apartment.

        Returns:
            The apartment.
        """
        return copy.deepcopy(self._apartment(apartment_id))

    @tool("agent", write=True)
    def save_apartment(self, apartment_id: str) -> None:
        """Add an apartment to the favourites, unless it is one already.

        Args:
            apartment_id: id of the apartment.
        """
        apartment = self._apartment(apartment_id)
        if apartment_id not in self.saved:
            self.saved.append(apartment_id)
            apartment.saved = True

    @tool("agent", write=True)
    def remove_saved_apartment(self, apartment_id: str) -> None:
        """Remove an apartment from the favourites.

        Args:
            apartment_id: id of the apartment.
        """
        if apartment_id not in self.saved:
            raise ToolError(f"apartment {apartment_id!r} is not among the favourites")
        self.saved.remove(apartment_id)
        self.apartments[apartment_id].saved = False

    @tool("agent")
    def list_saved_apartments(self) -> dict[str, Apartment]:
        """List the favourites with all details.

        Returns:
            A dictionary of apartment ids to apartments.
        """
        return copy.deepcopy(self._saved())

    @tool("agent")
    def search_apartments(  # noqa: PLR0917 - the order of ARE
        self,
        name: str | None = None,
        location: str | None = None,
        zip_code: str | None = None,
        min_price: int | float | None = None,  # noqa: PYI041 - agents may give either, and see it
        max_price: int | float | None = None,  # noqa: PYI041
        number_of_bedrooms: int | None = None,
        number_of_bathrooms: int | None = None,
        property_type: str | None = None,
        square_footage: int | None = None,
        furnished_status: str | None = None,
        floor_level: str | None = None,
        pet_policy: str | None = None,
        lease_term: str | None = None,
        amenities: list[str] | None = None,
        saved_only: bool = False,
    ) -> dict[str, Apartment]:
        """Find apartments that meet all of the given wishes.

        Texts are compared without regard to upper and lower case, except zip_code and
        floor_level. Apartments that do not say whether they are furnished, allow pets or for how
        long they are let meet any such wish.

        Args:
            name: text that the name contains.
            location: text that the location contains.
            zip_code: exactly.
            min_price: lowest rent for a month.
            max_price: highest rent for a month.
            number_of_bedrooms: exactly.
            number_of_bathrooms: exactly.
            property_type: e.g. "Apartment" or "Condo".
            square_footage: smallest size in square feet.
            furnished_status: "Furnished", "Unfurnished" or "Semi-furnished".
            floor_level: exactly, e.g. "Ground floor", "Upper floors", "Penthouse", "Basement".
            pet_policy: e.g. "Pets allowed", "No pets", "Cats allowed" or "Dogs allowed".
            lease_term: e.g. "Month-to-month", "6 months", "1 year" or "Long term lease".
            amenities: all of what the apartment must offer.
            saved_only: whether to look among the favourites only.

        Returns:
            A dictionary of apartment ids to apartments.
        """

        def fits(flat: Apartment) -> bool:
            # Wishes that are empty or 0 are none.
            return (
                not (min_price and flat.price < min_price)
                and not (max_price and flat.price > max_price)
                and not (number_of_bedrooms and flat.bedrooms != number_of_bedrooms)
                and not (number_of_bathrooms and flat.bathrooms != number_of_bathrooms)
                and not (square_footage and flat.square_footage < square_footage)
                and not (zip_code and flat.zip_code != zip_code)
                and not (floor_level and flat.floor_level != floor_level)
                and (name or "").lower() in flat.name.lower()
                and (location or "").lower() in flat.location.lower()
                and (not property_type or _same(flat.property_type, property_type))
                and _agrees(flat.furnished_status, furnished_status)
                and _agrees(flat.pet_policy, pet_policy)
                and _agrees(flat.lease_term, lease_term)
                and _lower(amenities) <= _lower(flat.amenities)
            )

        where = self._saved() if saved_only else self.apartments
        return {key: copy.deepcopy(flat) for key, flat in where.items() if fits(flat)}

    def _apartment(self, apartment_id: str) -> Apartment:
        if apartment_id not in self.apartments:
            raise ToolError(f"there is no apartment {apartment_id!r}")
        return self.apartments[apartment_id]

    def _saved(self) -> dict[str, Apartment]:
        return {apartment_id: self.apartments[apartment_id] for apartment_id in self.saved}


def _same(text: str, other: str) -> bool:
    return text.lower() == other.lower()


def _agrees(fact: str | None, wish: str | None) -> bool:
    return not wish or not fact or _same(fact, wish)


def _lower(texts: list[str] | None) -> set[str]:
    return {text.lower() for text in texts or []}
