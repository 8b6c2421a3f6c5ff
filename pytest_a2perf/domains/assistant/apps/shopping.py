"""The shop: what is in the cart, and what has been ordered."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pytest_a2perf.domains.assistant.apps.app import Clock, tool
from pytest_a2perf.domains.assistant.apps.catalogue import Catalogue, Product
from pytest_a2perf.domains.assistant.apps.records import Number, records
from pytest_a2perf.domains.assistant.apps.results import plain
from pytest_a2perf.domains.assistant.apps.times import date_of
from pytest_a2perf.domains.assistant.errors import ToolError

__all__ = ["CartItem", "Order", "ShoppingApp"]

STATUSES = ("processed", "shipped", "delivered", "cancelled")


@dataclass
class CartItem:
    """Some pieces of one variant, at the price that it had when it was first added."""

    item_id: str
    quantity: int
    price: Number
    available: bool = True
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Order:
    """What has been bought; the date is a `datetime` unless the scenario writes it otherwise."""

    order_status: str
    order_date: Any
    order_total: Number
    order_id: str
    order_items: dict[str, CartItem]


class ShoppingApp(Catalogue):
    """A shop, its customer's cart and orders."""

    classes = ("ShoppingApp", "Shopping")

    def __init__(self, name: str, clock: Clock, *, seed: int = 0, app_class: str = "") -> None:
        super().__init__(name, clock, seed=seed, app_class=app_class)
        self.cart: dict[str, CartItem] = {}
        self.orders: dict[str, Order] = {}

    def load_state(self, state: dict[str, Any]) -> None:
        """See `App.load_state`."""
        self.products = records(dict[str, Product], state, "products")
        self.cart = records(dict[str, CartItem], state, "cart")
        self.orders = records(dict[str, Order], state, "orders")
        self.discount_codes = records(dict[str, dict[str, Number]], state, "discount_codes")
        for order in self.orders.values():
            order.order_date = _date(order.order_date)

    def get_state(self) -> dict[str, Any]:
        """See `App.get_state`."""
        orders = copy.deepcopy(self.orders)
        for order in orders.values():
            if isinstance(order.order_date, datetime):
                order.order_date = order.order_date.isoformat()
        return {
            "products": plain(self.products),
            "cart": plain(self.cart),
            "discount_codes": plain(self.discount_codes),
            "orders": plain(orders),
        }

    @tool("agent", write=True)
    def add_to_cart(self, item_id: str, quantity: int = 1) -> str:
        """Put pieces of a variant into the cart.

        Args:
            item_id: id of the variant (not of the product).
            quantity: how many pieces.

        Returns:
            Id of the variant.
        """
        if quantity <= 0:
            raise ToolError(f"the quantity must be positive, not {quantity}")
        item = self._item(item_id)
        if not item.available:
            raise ToolError(f"item {item_id!r} is not available")
        if item_id in self.cart:
            self.cart[item_id].quantity += quantity
        else:
            self.cart[item_id] = CartItem(
                item.item_id, quantity, item.price, item.available, copy.deepcopy(item.options)
            )
        return item_id

    @tool("agent", write=True)
    def remove_from_cart(self, item_id: str, quantity: int = 1) -> str:
        """Take pieces of a variant out of the cart.

        Args:
            item_id: id of the variant.
            quantity: how many pieces; at most as many as there are.

        Returns:
            Id of the variant.
        """
        if quantity < 0:
            raise ToolError(f"the quantity must not be negative, as {quantity} is")
        if item_id not in self.cart:
            raise ToolError(f"item {item_id!r} is not in the cart")
        item = self.cart[item_id]
        if quantity > item.quantity:
            raise ToolError(f"cannot remove {quantity} pieces of {item.quantity}")
        item.quantity -= quantity
        if item.quantity == 0:
            del self.cart[item_id]
        return item_id

    @tool("agent")
    def list_cart(self) -> dict[str, Any]:
        """Show what is in the cart.

        Returns:
            A dictionary of the ids of variants to quantities, prices and options.
        """
        return copy.deepcopy(self.cart)

    @tool("agent", write=True)
    def checkout(self, discount_code: str | None = None) -> str:
        """Order everything in the cart, and empty it.

        A discount code must be valid for each item of the cart: if it is not valid for one of
        them, nothing is ordered.

        Args:
            discount_code: None or an empty text for no discount.

        Returns:
            Id of the order.
        """
        if not self.cart:
            raise ToolError("the cart is empty")
        total: Number = 0
        for item_id, item in self.cart.items():
            percent: Number = 0
            if discount_code:
                codes = self.discount_codes.get(item_id, {})
                if discount_code not in codes:
                    raise ToolError(f"the code {discount_code!r} is not valid for item {item_id!r}")
                percent = codes[discount_code]
            total += item.price * item.quantity * (1 - percent / 100)
        order_id = self.new_id()
        self.orders[order_id] = Order(
            "processed", date_of(self.clock.now), total, order_id, self.cart
        )
        self.cart = {}
        return order_id

    @tool("agent")
    def get_discount_code_info(self, discount_code: str = "") -> dict[str, Number]:
        """Tell for which items a discount code is valid.

        Args:
            discount_code: the code.

        Returns:
            A dictionary of the ids of variants to their discounts in percent.
        """
        return {
            item_id: codes[discount_code]
            for item_id, codes in self.discount_codes.items()
            if discount_code in codes
        }

    @tool("agent")
    def get_all_discount_codes(self) -> dict[str, list[str]]:
        """List all discount codes.

        Returns:
            A dictionary of codes to the ids of the variants that they are valid for.
        """
        items: dict[str, list[str]] = {}
        for item_id, codes in self.discount_codes.items():
            for code in codes:
                items.setdefault(code, []).append(item_id)
        return items

    @tool("agent")
    def list_orders(self) -> dict[str, Order]:
        """List all orders, past ones included.

        Returns:
            A dictionary of order ids to orders with status, date, total and items.
        """
        return copy.deepcopy(self.orders)

    @tool("agent")
    def get_order_details(self, order_id: str) -> Order:
        """Show an order: status, date, total and items.

        Args:
            order_id: id of the order.

        Returns:
            The order.
        """
        return copy.deepcopy(self._order(order_id))

    @tool("env", write=True)
    def update_order_status(self, order_id: str, status: str = "shipped") -> None:
        """Change the status of an order.

        Args:
            order_id: id of the order.
            status: "processed", "shipped", "delivered" or "cancelled".
        """
        order = self._order(order_id)
        if status not in STATUSES:
            raise ToolError(f"{status!r} is no status of an order; valid: {', '.join(STATUSES)}")
        order.order_status = status

    @tool("agent", "env", write=True)
    def cancel_order(self, order_id: str) -> str:
        """Cancel an order that has not been delivered yet.

        Args:
            order_id: id of the order.

        Returns:
            Id of the order.
        """
        order = self._order(order_id)
        if order.order_status not in {"processed", "shipped"}:
            raise ToolError(f"order {order_id!r} is {order.order_status}: too late to cancel it")
        order.order_status = "cancelled"
        return order_id

    def _order(self, order_id: str) -> Order:
        if order_id not in self.orders:
            raise ToolError(f"there is no order {order_id!r}")
        return self.orders[order_id]


def _date(value: Any) -> Any:
    """Read a date in ISO's form; keep what is none."""
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value
