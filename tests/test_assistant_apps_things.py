"""The shop, the cab, the flats and the city: results as ARE 1.2.0 gives them, seen by running it."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_a2perf.domains.assistant.apps.apartments import Apartment, ApartmentListingApp
from pytest_a2perf.domains.assistant.apps.cab import CabApp
from pytest_a2perf.domains.assistant.apps.catalogue import Item, Product
from pytest_a2perf.domains.assistant.apps.city import CityApp, CrimeDataPoint
from pytest_a2perf.domains.assistant.apps.ride import Ride
from pytest_a2perf.domains.assistant.apps.shopping import CartItem, Order, ShoppingApp
from pytest_a2perf.domains.assistant.apps.tools import tools_of
from pytest_a2perf.domains.assistant.errors import ToolError, TraceError

START = 1_700_000_000.0


@dataclass
class Clock:
    now: float = START


SHOP = {
    "products": {
        "p1": {
            "name": "Mug",
            "product_id": "p1",
            "variants": {
                "i1": {
                    "price": 5,
                    "available": True,
                    "item_id": "i1",
                    "options": {"colour": "red"},
                },
                "i2": {"price": 7.5, "available": False, "item_id": "i2", "options": {}},
            },
        },
        "p2": {
            "name": "Lamp",
            "product_id": "p2",
            "variants": {"i3": {"price": 20.0, "available": True, "item_id": "i3", "options": {}}},
        },
    },
    "cart": {},
    "discount_codes": {"i1": {"SALE": 10}},
    "orders": {
        "o1": {
            "order_status": "delivered",
            "order_date": "2023-10-01T12:00:00+00:00",
            "order_total": 5,
            "order_id": "o1",
            "order_items": {
                "i1": {
                    "item_id": "i1",
                    "quantity": 1,
                    "price": 5,
                    "available": True,
                    "options": {},
                }
            },
        }
    },
}
FLAT = {
    "name": "Sunny",
    "location": "Paris",
    "zip_code": "75001",
    "price": 900,
    "bedrooms": 2,
    "bathrooms": 1,
    "property_type": "Condo",
    "square_footage": 500,
    "furnished_status": "Furnished",
    "floor_level": "Basement",
    "pet_policy": None,
    "lease_term": "1 year",
    "apartment_id": "a1",
    "amenities": ["Pool", "Gym"],
    "saved": True,
}
FLATS = {
    "apartments": {
        "a1": FLAT,
        "a2": FLAT
        | {
            "name": "Dark Hole",
            "location": "Rome",
            "zip_code": "00100",
            "price": 1500.5,
            "bedrooms": 1,
            "furnished_status": "Unfurnished",
            "pet_policy": "No pets",
            "apartment_id": "a2",
            "amenities": None,
            "saved": False,
        },
    },
    "saved_apartments": ["a1"],
}
CITY = {"api_call_limit": 2, "crime_data": {"1": {"violent_crime": 1.5, "property_crime": 3}}}
CAB = {
    "ride_history": [],
    "quotation_history": [],
    "d_service_config": {
        "Default": {
            "nb_seats": 4,
            "price_per_km": 1.0,
            "base_delay_min": 5,
            "max_distance_km": 25,
        },
        "Van": {"nb_seats": 6, "price_per_km": 1.5, "base_delay_min": 7, "max_distance_km": 25},
    },
}
STATES = [(ShoppingApp, SHOP), (ApartmentListingApp, FLATS), (CityApp, CITY), (CabApp, CAB)]


def make(cls, state=None, clock=None):
    app = cls("App", clock or Clock())
    if state is not None:
        app.load_state(copy.deepcopy(state))
    return app


def signatures(cls, audience):
    """Return what somebody may call, in order: function, kind, parameters with defaults."""
    return [
        (
            tool.function,
            "W" if tool.write else "R",
            [p.name if p.required else (p.name, p.default) for p in tool.parameters],
        )
        for tool in tools_of(make(cls), audience)
    ]


# -- all of them -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("cls", "state"), STATES)
def test_a_state_is_written_as_it_was_read(cls, state):
    app = make(cls, state)
    assert app.get_state() == state
    assert json.loads(json.dumps(app.get_state())) == state


@pytest.mark.parametrize(("cls", "state"), STATES)
def test_a_state_without_a_key_is_refused_by_name(cls, state):
    for key in state:
        with pytest.raises(TraceError, match=f"{key} is missing"):
            make(cls, {name: value for name, value in state.items() if name != key})


@pytest.mark.parametrize(
    ("cls", "state", "message"),
    [
        (ShoppingApp, SHOP | {"products": []}, "products: .* valid dictionary"),
        (
            ShoppingApp,
            SHOP | {"cart": {"i1": {"item_id": "i1", "quantity": "two", "price": 5}}},
            r"cart\.i1\.quantity: .* got 'two'",
        ),
        (
            ApartmentListingApp,
            FLATS | {"apartments": {"a1": FLAT | {"rooms": 3}}},
            r"apartments\.a1\.rooms",
        ),
        (
            ApartmentListingApp,
            FLATS | {"saved_apartments": ["a9"]},
            "saved_apartments: there is no apartment 'a9'",
        ),
        (
            CityApp,
            CITY | {"crime_data": {"1": {"violent_crime": 1}}},
            r"crime_data\.1\.property_crime: Field required",
        ),
        (CabApp, CAB | {"ride_history": [3]}, r"ride_history\.0"),
    ],
)
def test_what_an_app_cannot_hold_is_refused_by_its_place(cls, state, message):
    with pytest.raises(TraceError, match=message):
        make(cls, state)


@pytest.mark.parametrize(("cls", "state"), STATES)
def test_every_tool_and_parameter_is_described(cls, state):
    tools = tools_of(make(cls, state))
    assert tools
    for tool in tools:
        assert len(tool.description) > 10, tool.name
        for parameter in tool.parameters:
            assert parameter.description, (tool.name, parameter.name)
        assert tool.schema()["function"]["parameters"]["additionalProperties"] is False


@pytest.mark.parametrize(("cls", "state"), STATES)
def test_results_can_be_changed_without_changing_the_app(cls, state):
    app = make(cls, state)
    calls = {
        ShoppingApp: lambda: (
            app.add_to_cart("i1"),
            app.list_cart().clear(),
            app.search_product("mug")[0].variants.clear(),
            app.get_product_details("p2").variants.clear(),
            app.list_orders()["o1"].order_items.clear(),
            app.remove_from_cart("i1"),
        ),
        ApartmentListingApp: lambda: (
            app.list_all_apartments()["a1"].amenities.clear(),
            app.search_apartments()["a1"].amenities.clear(),
            app.list_saved_apartments().clear(),
        ),
        CityApp: lambda: setattr(app.get_crime_rate("1"), "violent_crime", 0),
        CabApp: lambda: (
            app.add_new_ride("Van", "A", "B", 3.0),
            setattr(app.get_ride(0), "price", 0),
            app.get_ride_history()["rides"].clear(),
            app.rides.clear(),
            app.quotations.clear(),
        ),
    }
    calls[cls]()
    assert app.get_state() == state


# -- the shop --------------------------------------------------------------------------------------


def test_the_tools_of_the_shop():
    assert signatures(ShoppingApp, "agent") == [
        ("list_all_products", "R", [("offset", 0), ("limit", 10)]),
        ("get_product_details", "R", ["product_id"]),
        ("search_product", "R", ["product_name", ("offset", 0), ("limit", 10)]),
        ("add_to_cart", "W", ["item_id", ("quantity", 1)]),
        ("remove_from_cart", "W", ["item_id", ("quantity", 1)]),
        ("list_cart", "R", []),
        ("checkout", "W", [("discount_code", None)]),
        ("get_discount_code_info", "R", [("discount_code", "")]),
        ("get_all_discount_codes", "R", []),
        ("list_orders", "R", []),
        ("get_order_details", "R", ["order_id"]),
        ("cancel_order", "W", ["order_id"]),
    ]
    assert signatures(ShoppingApp, "env") == [
        ("add_product", "W", ["name"]),
        (
            "add_item_to_product",
            "W",
            ["product_id", "price", ("options", {}), ("available", True)],
        ),
        ("update_item", "W", ["item_id", ("new_price", None), ("new_availability", None)]),
        ("add_discount_code", "W", ["item_id", "discount_code"]),
        ("update_order_status", "W", ["order_id", ("status", "shipped")]),
        ("cancel_order", "W", ["order_id"]),
    ]
    assert signatures(ShoppingApp, "user") == []


def test_the_catalogue_is_listed_by_name():
    app = make(ShoppingApp, SHOP)
    whole = {"Lamp": "p2", "Mug": "p1"}
    assert app.list_all_products() == {
        "products": whole,
        "metadata": {"range": (0, 2), "total": 2},
    }
    assert app.list_all_products(1, 1) == {
        "products": {"Mug": "p1"},
        "metadata": {"range": (1, 2), "total": 2},
    }
    assert list(app.list_all_products()["products"]) == list(whole)


def test_products_are_found_by_part_of_their_name():
    app = make(ShoppingApp, SHOP)
    mug = Product(
        "Mug",
        "p1",
        {"i1": Item(5, True, "i1", {"colour": "red"}), "i2": Item(7.5, False, "i2", {})},
    )
    assert app.search_product("MU") == [mug]
    assert repr(app.search_product("mug")[0]) == (
        "Product(name='Mug', product_id='p1', variants={"
        "'i1': Item(price=5, available=True, item_id='i1', options={'colour': 'red'}), "
        "'i2': Item(price=7.5, available=False, item_id='i2', options={})})"
    )
    assert [product.name for product in app.search_product("m", offset=1, limit=5)] == ["Lamp"]
    assert app.search_product("chair") == []


def test_of_products_of_one_name_the_last_is_found():
    app = make(ShoppingApp, SHOP)
    second = app.add_product("Mug")
    assert [product.product_id for product in app.search_product("mug")] == [second, second]
    assert app.list_all_products()["products"]["Mug"] == second
    assert app.list_all_products()["metadata"]["total"] == 3


def test_what_is_bought_becomes_an_order():
    clock = Clock()
    app = make(ShoppingApp, SHOP, clock)
    assert app.add_to_cart("i1", 2) == "i1"
    assert app.add_to_cart("i1") == "i1"
    assert app.list_cart() == {"i1": CartItem("i1", 3, 5, True, {"colour": "red"})}
    clock.now += 60
    order_id = app.checkout("SALE")
    assert app.list_cart() == {}
    assert app.get_order_details(order_id) == Order(
        "processed",
        datetime(2023, 11, 14, 22, 14, 20, tzinfo=UTC),
        13.5,
        order_id,
        {"i1": CartItem("i1", 3, 5, True, {"colour": "red"})},
    )
    assert list(app.list_orders()) == ["o1", order_id]
    assert app.get_state()["orders"][order_id]["order_date"] == "2023-11-14T22:14:20+00:00"
    assert repr(app.get_order_details("o1")).startswith(
        "Order(order_status='delivered', order_date=datetime.datetime(2023, 10, 1, 12, 0, "
        "tzinfo=datetime.timezone.utc), order_total=5, order_id='o1', order_items={"
    )


def test_a_price_in_the_cart_is_that_of_its_time():
    app = make(ShoppingApp, SHOP)
    app.add_to_cart("i1")
    assert app.update_item("i1", 50.0) == "i1"
    app.add_to_cart("i1")
    assert app.list_cart()["i1"].price == 5
    assert app.get_product_details("p1").variants["i1"].price == 50.0


def test_a_code_must_be_valid_for_the_whole_cart():
    app = make(ShoppingApp, SHOP)
    app.add_to_cart("i1")
    app.add_to_cart("i3")
    with pytest.raises(ToolError, match="'SALE' is not valid for item 'i3'"):
        app.checkout("SALE")
    assert list(app.list_cart()) == ["i1", "i3"]
    assert app.add_discount_code("i3", {"SALE": 50.0}) == "Successfully added the discount code"
    assert app.get_discount_code_info("SALE") == {"i1": 10, "i3": 50.0}
    assert app.get_all_discount_codes() == {"SALE": ["i1", "i3"]}
    assert app.list_orders()["o1"].order_total == 5
    assert app.get_order_details(app.checkout("SALE")).order_total == pytest.approx(14.5)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        ("add_to_cart", ("i9",), "no item 'i9'"),
        ("add_to_cart", ("p1",), "no item 'p1'"),
        ("add_to_cart", ("i2",), "not available"),
        ("add_to_cart", ("i1", 0), "must be positive"),
        ("remove_from_cart", ("i3",), "not in the cart"),
        ("remove_from_cart", ("i1", 2), "cannot remove 2 pieces of 1"),
        ("remove_from_cart", ("i1", -1), "must not be negative"),
        ("checkout", ("NONE",), "'NONE' is not valid"),
        ("get_product_details", ("p9",), "no product 'p9'"),
        ("get_order_details", ("o9",), "no order 'o9'"),
        ("cancel_order", ("o9",), "no order 'o9'"),
        ("cancel_order", ("o1",), "is delivered"),
        ("update_order_status", ("o9",), "no order 'o9'"),
        ("update_order_status", ("o1", "lost"), "'lost' is no status"),
        ("update_item", ("i1",), "nothing to change"),
        ("update_item", ("i9", 1.0), "no item 'i9'"),
        ("add_item_to_product", ("p9", 1.0), "no product 'p9'"),
        ("add_discount_code", ("i9", {"A": 1.0}), "no item 'i9'"),
    ],
)
def test_what_the_shop_refuses_changes_nothing(function, arguments, message):
    app = make(ShoppingApp, SHOP)
    app.add_to_cart("i1")
    before = app.get_state()
    with pytest.raises(ToolError, match=message):
        getattr(app, function)(*arguments)
    assert app.get_state() == before


def test_an_empty_cart_cannot_be_ordered():
    with pytest.raises(ToolError, match="empty"):
        make(ShoppingApp, SHOP).checkout()


def test_orders_are_cancelled_until_they_are_delivered():
    app = make(ShoppingApp, SHOP)
    app.add_to_cart("i1")
    order_id = app.checkout()
    assert app.update_order_status(order_id) is None
    assert app.get_order_details(order_id).order_status == "shipped"
    assert app.cancel_order(order_id) == order_id
    assert app.get_order_details(order_id).order_status == "cancelled"
    with pytest.raises(ToolError, match="is cancelled"):
        app.cancel_order(order_id)


def test_the_catalogue_grows():
    app = make(ShoppingApp, SHOP)
    product = app.add_product("Chair")
    options = {"legs": [4]}
    item = app.add_item_to_product(product, 30.0, options)
    options["legs"].append(3)
    assert app.get_product_details(product) == Product(
        "Chair", product, {item: Item(30.0, True, item, {"legs": [4]})}
    )
    assert app.add_to_cart(item) == item


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add_to_cart", "remove_from_cart"]),
            st.sampled_from(["i1", "i3"]),
            st.integers(-1, 4),
        )
    )
)
def test_the_cart_holds_what_was_put_in_less_what_was_taken_out(calls):
    app = make(ShoppingApp, SHOP)
    held = {"i1": 0, "i3": 0}
    for function, item, quantity in calls:
        adding = function == "add_to_cart"
        valid = quantity > 0 if adding else bool(held[item]) and 0 <= quantity <= held[item]
        if valid:
            held[item] += quantity if adding else -quantity
            assert getattr(app, function)(item, quantity) == item
        else:
            with pytest.raises(ToolError):
                getattr(app, function)(item, quantity)
        assert {key: piece.quantity for key, piece in app.cart.items()} == {
            key: count for key, count in held.items() if count
        }
    if any(held.values()):
        order = app.get_order_details(app.checkout())
        assert order.order_total == 5 * held["i1"] + 20.0 * held["i3"]


# -- the cab ---------------------------------------------------------------------------------------


def test_the_tools_of_the_cab():
    route = ["start_location", "end_location"]
    assert signatures(CabApp, "agent") == [
        ("get_quotation", "R", [*route, "service_type", ("ride_time", None)]),
        ("list_rides", "R", [*route, ("ride_time", None)]),
        ("order_ride", "W", [*route, "service_type", ("ride_time", None)]),
        ("user_cancel_ride", "W", []),
        ("get_current_ride_status", "R", []),
        ("get_ride", "R", ["idx"]),
        ("get_ride_history", "R", [("offset", 0), ("limit", 10)]),
        ("get_ride_history_length", "R", []),
    ]
    assert signatures(CabApp, "env") == [
        ("cancel_ride", "W", [("who_cancel", "driver"), ("message", None)]),
        ("end_ride", "W", []),
        ("update_ride_status", "W", ["status", ("message", None)]),
    ]


def test_a_ride_is_drawn_as_by_are():
    app = make(CabApp)
    app.rng = random.Random(7)
    ride = app.order_ride("Home", "Work", "Van")
    assert ride == Ride(
        ride_id=ride.ride_id,
        status="BOOKED",
        service_type="Van",
        start_location="Home",
        end_location="Work",
        price=14.786237208746154,
        duration=15.777224731228657,
        time_stamp=START,
        distance_km=9.857491472497436,
        delay=9,
        delay_history=[{"delay": 9, "time_stamp": START}],
    )
    assert str(ride) == (
        f"\n        Ride ID: {ride.ride_id}\n        Status: BOOKED\n        Service Type: Van\n"
        "        Start Location: Home\n        End Location: Work\n"
        "        Distance: 9.857491472497436 kms\n        Price: $14.79\n"
        "        Duration: 0.2629537455204776 mins\n        Timestamp: 1700000000.0\n"
        "        Delay: 0.15 mins\n        "
    )


def test_there_is_one_ride_at_a_time():
    app = make(CabApp)
    first = app.order_ride("Home", "Work", "Default", "2023-11-15 08:00:00")
    assert first.time_stamp == 1_700_035_200.0
    with pytest.raises(ToolError, match="there is a ride already"):
        app.order_ride("Home", "Work", "Default")
    assert app.update_ride_status("DELAYED") == "Ride status has been updated to DELAYED."
    assert app.update_ride_status("IN_PROGRESS", "Hi") == (
        "Ride status has been updated to IN_PROGRESS. Message from your driver: Hi"
    )
    assert app.get_ride(0).status == "IN_PROGRESS"
    assert first.status == "BOOKED"
    assert app.end_ride() == "Ride has been completed."
    app.order_ride("Work", "Home", "Default")
    assert app.user_cancel_ride() == "Ride has been cancelled, sorry to see you go."
    app.order_ride("Work", "Home", "Default")
    assert app.cancel_ride() == "The ride has been cancelled. Sorry for the inconvenience."
    app.order_ride("Work", "Home", "Default")
    assert app.cancel_ride("driver", "Flat tyre") == "Flat tyre"
    assert app.get_ride_history_length() == 4
    history = app.get_ride_history(1, 2)
    assert {idx: ride.status for idx, ride in history["rides"].items()} == {
        1: "CANCELLED",
        2: "CANCELLED",
    }
    assert (history["range"], history["total"]) == ((1, 3), 4)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        ("get_quotation", ("A", "B", "Boat"), "no service 'Boat'; valid: Default, Premium, Van"),
        ("get_quotation", ("A", "B", "Van", "tomorrow"), "'tomorrow' is no time"),
        ("list_rides", ("A", "B", "2023-11-15"), "is no time"),
        ("cancel_ride", (), "no ride at present"),
        ("cancel_ride", ("me",), "not 'me'"),
        ("user_cancel_ride", (), "no ride at present"),
        ("end_ride", (), "no ride at present"),
        ("update_ride_status", ("DELAYED",), "no ride at present"),
        ("update_ride_status", ("LOST",), "'LOST' is no status"),
        ("get_current_ride_status", (), "no ride has been ordered"),
        ("get_ride", (0,), "no ride 0"),
        ("get_ride", (-1,), "no ride -1"),
    ],
)
def test_what_the_cab_refuses_changes_nothing(function, arguments, message):
    app = make(CabApp)
    before = app.get_state()
    with pytest.raises(ToolError, match=message):
        getattr(app, function)(*arguments)
    assert app.get_state() == before


def test_places_stay_where_they_are_and_prices_vary():
    app = make(CabApp)
    app.add_new_ride("Default", "Home", "Work", 12.0, time_stamp=START, distance_km=8.5)
    offers = app.list_rides("Home", "Work")
    assert [ride.service_type for ride in offers] == ["Default", "Premium", "Van"]
    assert {ride.distance_km for ride in offers} == {8.5}
    assert [ride.status for ride in offers] == [None] * 3
    # Once asked for, a price varies around the first; others follow from the distance.
    assert 6 <= offers[0].price <= 18
    assert [ride.price for ride in offers[1:]] == [17.0, 12.75]
    far = make(CabApp)
    far.add_new_ride("Default", "Home", "Moon", 12.0, distance_km=25.5)
    with pytest.raises(ToolError, match=r"25\.5 km are too far"):
        far.list_rides("Home", "Moon")


def test_a_ride_that_is_late_says_so():
    clock = Clock()
    app = make(CabApp, clock=clock)
    app.order_ride("Home", "Work", "Van")
    app.rng = random.Random(1)
    draw = random.Random(1).uniform(-1.5, 1)
    clock.now += 600
    delay = app.rides[0].delay
    ride = app.get_current_ride_status()
    assert ride.delay == min(0, delay - 600 * (1 + draw))
    assert len(ride.delay_history) == 2


def test_what_is_drawn_follows_from_seed_and_name():
    def quote(name, seed):
        return CabApp(name, Clock(), seed=seed).get_quotation("A", "B", "Van")

    assert quote("Cabs", 3) == quote("Cabs", 3)
    assert quote("Cabs", 3).ride_id != quote("Cabs", 4).ride_id
    assert quote("Cabs", 3).price != quote("Taxis", 3).price


def test_rides_of_old_scenarios_are_read():
    old = {"service_type": "Van", "price": 3, "cab_app": {}, "seed": 4}
    app = make(CabApp, CAB | {"ride_history": [old, {**old, "ride_id": "r1"}]})
    assert len(app.get_ride(0).ride_id) == 32
    assert app.get_ride(1) == Ride("r1", None, "Van", price=3)


# -- the flats -------------------------------------------------------------------------------------


def test_the_tools_of_the_flats():
    wishes = [
        *["name", "location", "zip_code", "min_price", "max_price", "number_of_bedrooms"],
        *["number_of_bathrooms", "property_type", "square_footage", "furnished_status"],
        *["floor_level", "pet_policy", "lease_term", "amenities"],
    ]
    assert signatures(ApartmentListingApp, "agent") == [
        ("list_all_apartments", "R", []),
        ("get_apartment_details", "R", ["apartment_id"]),
        ("save_apartment", "W", ["apartment_id"]),
        ("remove_saved_apartment", "W", ["apartment_id"]),
        ("list_saved_apartments", "R", []),
        ("search_apartments", "R", [*((wish, None) for wish in wishes), ("saved_only", False)]),
    ]
    needed = ["name", "location", "zip_code", "price", "number_of_bedrooms", "number_of_bathrooms"]
    texts = ["property_type", "furnished_status", "floor_level", "pet_policy", "lease_term"]
    others = [*((text, "") for text in texts), ("amenities", None)]
    assert signatures(ApartmentListingApp, "env") == [
        ("add_new_apartment", "W", [*needed, "square_footage", *others]),
        ("update_apartment", "W", ["apartment_id", "new_price"]),
        ("delete_apartment", "W", ["apartment_id"]),
    ]


@pytest.mark.parametrize(
    ("wishes", "found"),
    [
        ({}, "a1 a2"),
        ({"name": "SUN"}, "a1"),
        ({"location": "par"}, "a1"),
        ({"zip_code": "75001"}, "a1"),
        ({"zip_code": "750"}, ""),
        ({"min_price": 901}, "a2"),
        ({"min_price": 900, "max_price": 1000.5}, "a1"),
        ({"number_of_bedrooms": 1}, "a2"),
        ({"number_of_bathrooms": 2}, ""),
        ({"number_of_bedrooms": 0, "min_price": 0, "name": "", "amenities": []}, "a1 a2"),
        ({"property_type": "condo"}, "a1 a2"),
        ({"property_type": "con"}, ""),
        ({"square_footage": 501}, ""),
        ({"furnished_status": "furnished"}, "a1"),
        ({"floor_level": "Basement"}, "a1 a2"),
        ({"floor_level": "basement"}, ""),
        ({"pet_policy": "no pets"}, "a1 a2"),
        ({"pet_policy": "Pets allowed"}, "a1"),
        ({"lease_term": "1 YEAR"}, "a1 a2"),
        ({"amenities": ["gym", "POOL"]}, "a1"),
        ({"amenities": ["Sauna"]}, ""),
        ({"saved_only": True}, "a1"),
        ({"saved_only": True, "location": "Rome"}, ""),
    ],
)
def test_flats_are_found_by_wishes(wishes, found):
    assert list(make(ApartmentListingApp, FLATS).search_apartments(**wishes)) == found.split()


def test_favourites_come_and_go():
    app = make(ApartmentListingApp, FLATS)
    assert app.save_apartment("a2") is None
    assert app.save_apartment("a2") is None
    assert list(app.list_saved_apartments()) == ["a1", "a2"]
    assert app.get_apartment_details("a2").saved
    assert app.remove_saved_apartment("a1") is None
    assert not app.get_apartment_details("a1").saved
    with pytest.raises(ToolError, match="'a1' is not among the favourites"):
        app.remove_saved_apartment("a1")
    assert app.get_state()["saved_apartments"] == ["a2"]


def test_listings_come_and_go():
    app = make(ApartmentListingApp, FLATS)
    new = app.add_new_apartment("N", "Rome", "2", 800.0, 1, 1, 400)
    assert app.get_apartment_details(new) == Apartment(
        "N", "Rome", "2", 800.0, 1, 1, "", 400, apartment_id=new
    )
    assert repr(app.get_apartment_details(new)) == (
        "Apartment(name='N', location='Rome', zip_code='2', price=800.0, bedrooms=1, bathrooms=1, "
        "property_type='', square_footage=400, furnished_status='', floor_level='', "
        f"pet_policy='', lease_term='', apartment_id='{new}', amenities=[], saved=False)"
    )
    assert app.update_apartment(new, 750.0) == new
    assert app.list_all_apartments()[new].price == 750.0
    assert app.delete_apartment("a1") is None
    assert list(app.list_all_apartments()) == ["a2", new]
    assert app.list_saved_apartments() == app.search_apartments(saved_only=True) == {}


@pytest.mark.parametrize(
    "call",
    [
        lambda app: app.get_apartment_details("a9"),
        lambda app: app.save_apartment("a9"),
        lambda app: app.update_apartment("a9", 1.0),
        lambda app: app.delete_apartment("a9"),
    ],
)
def test_there_is_no_flat_of_another_id(call):
    app = make(ApartmentListingApp, FLATS)
    with pytest.raises(ToolError, match="no apartment 'a9'"):
        call(app)
    assert app.get_state() == FLATS


# -- the city --------------------------------------------------------------------------------------


def test_the_tools_of_the_city():
    assert signatures(CityApp, "agent") == [
        ("get_crime_rate", "R", ["zip_code"]),
        ("get_api_call_count", "R", []),
        ("get_api_call_limit", "R", []),
    ]
    assert signatures(CityApp, "env") == [
        ("add_crime_rate", "W", ["zip_code", "violent_crime_rate", "property_crime_rate"]),
        (
            "update_crime_rate",
            "W",
            ["zip_code", ("new_violent_crime_rate", None), ("new_property_crime_rate", None)],
        ),
    ]


def test_the_city_takes_a_pause_after_too_many_calls():
    clock = Clock()
    app = make(CityApp, CITY, clock)
    assert app.get_crime_rate("1") == CrimeDataPoint(1.5, 3)
    with pytest.raises(ToolError, match="no data on the zip code '9'"):
        app.get_crime_rate("9")
    assert (app.get_api_call_count(), app.get_api_call_limit()) == (2, 2)
    for passed in (0, 900, 899.5):
        clock.now += passed
        with pytest.raises(ToolError, match="answers 2 calls"):
            app.get_crime_rate("1")
        assert app.get_api_call_count() == 0
    clock.now += 0.5
    assert app.get_crime_rate("1") == CrimeDataPoint(1.5, 3)
    assert app.get_api_call_count() == 1


def test_crime_rates_change():
    app = make(CityApp, CITY)
    assert app.add_crime_rate("2", 1.0, 2.0) == "Added Successfully"
    assert app.update_crime_rate("2", new_property_crime_rate=0.0) == "Updated Successfully"
    assert app.get_crime_rate("2") == CrimeDataPoint(1.0, 0.0)
    with pytest.raises(ToolError, match="nothing to change"):
        app.update_crime_rate("2")
    with pytest.raises(ToolError, match="no data"):
        app.update_crime_rate("9", 1.0)
