"""The catalogue of the shop: products, their variants, and discount codes."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from pytest_a2perf.domains.assistant.apps.app import App, Clock, tool
from pytest_a2perf.domains.assistant.apps.records import Number
from pytest_a2perf.domains.assistant.errors import ToolError

__all__ = ["Catalogue", "Item", "Product"]


@dataclass
class Item:
    """A variant of a product."""

    price: Number
    available: bool
    item_id: str
    options: dict[str, Any]


@dataclass
class Product:
    """What is sold, in variants by their ids."""

    name: str
    product_id: str
    variants: dict[str, Item]


class Catalogue(App):
    """What a shop sells."""

    def __init__(self, name: str, clock: Clock, *, seed: int = 0, app_class: str = "") -> None:
        super().__init__(name, clock, seed=seed, app_class=app_class)
        self.products: dict[str, Product] = {}
        self.discount_codes: dict[str, dict[str, Number]] = {}

    @tool("env", write=True)
    def add_product(self, name: str) -> str:
        """Add a product to the catalogue, without any variants.

        Args:
            name: of the product.

        Returns:
            Id of the product.
        """
        product_id = self.new_id()
        self.products[product_id] = Product(name=name, product_id=product_id, variants={})
        return product_id

    @tool("env", write=True)
    def add_item_to_product(
        self,
        product_id: str,
        price: float,
        options: dict[str, Any] = {},  # noqa: B006 - is copied
        available: bool = True,
    ) -> str:
        """Add a variant to a product.

        Args:
            product_id: id of the product.
            price: of one piece.
            options: what tells it from other variants, e.g. {"colour": "red", "size": "large"}.
            available: whether it can be bought.

        Returns:
            Id of the variant.
        """
        product = self._product(product_id)
        item_id = self.new_id()
        product.variants[item_id] = Item(price, available, item_id, copy.deepcopy(options))
        return item_id

    @tool("env", write=True)
    def update_item(
        self, item_id: str, new_price: float | None = None, new_availability: bool | None = None
    ) -> str:
        """Change the price or the availability of a variant, or both.

        Args:
            item_id: id of the variant.
            new_price: None leaves it.
            new_availability: None leaves it.

        Returns:
            Id of the variant.
        """
        if new_price is None and new_availability is None:
            raise ToolError("nothing to change: give a new price or a new availability")
        item = self._item(item_id)
        if new_price is not None:
            item.price = new_price
        if new_availability is not None:
            item.available = new_availability
        return item_id

    @tool("env", write=True)
    def add_discount_code(self, item_id: str, discount_code: dict[str, float]) -> str:
        """Make discount codes valid for a variant.

        Args:
            item_id: id of the variant.
            discount_code: codes, each with its discount in percent, e.g. {"SPRING": 10.0}.

        Returns:
            That it is done.
        """
        self._item(item_id)
        self.discount_codes.setdefault(item_id, {}).update(discount_code)
        return "Successfully added the discount code"

    @tool("agent")
    def list_all_products(self, offset: int = 0, limit: int = 10) -> dict[str, Any]:
        """List the products of the catalogue in alphabetical order, a page at a time.

        Args:
            offset: how many products to skip.
            limit: how many products to list at most.

        Returns:
            A dictionary: "products" maps names to product ids; "metadata" has the "range" listed
            and the "total" number of products.
        """
        ids = sorted((product.name, product.product_id) for product in self._by_name().values())
        total = len(self.products)
        return {
            "products": dict(ids[offset : offset + limit]),
            "metadata": {"range": (offset, min(offset + limit, total)), "total": total},
        }

    @tool("agent")
    def get_product_details(self, product_id: str) -> Product:
        """Show a product with all its variants: their ids, prices, options and availability.

        Args:
            product_id: id of the product, e.g. from search_product.

        Returns:
            The product.
        """
        return copy.deepcopy(self._product(product_id))

    @tool("agent")
    def search_product(self, product_name: str, offset: int = 0, limit: int = 10) -> list[Product]:
        """Find products whose name contains a text; upper and lower case are the same.

        Args:
            product_name: the text to look for.
            offset: how many of the products found to skip.
            limit: how many products to return at most.

        Returns:
            The products, with all their variants.
        """
        # Of products of one name, only the last can be found: that is what oracles rely on.
        named = self._by_name()
        found = [
            named[product.name]
            for product in self.products.values()
            if product_name.lower() in product.name.lower()
        ]
        return copy.deepcopy(found[offset : offset + limit])

    def _by_name(self) -> dict[str, Product]:
        return {product.name: product for product in self.products.values()}

    def _product(self, product_id: str) -> Product:
        if product_id not in self.products:
            raise ToolError(f"there is no product {product_id!r}")
        return self.products[product_id]

    def _item(self, item_id: str) -> Item:
        for product in self.products.values():
            if item_id in product.variants:
                return product.variants[item_id]
        raise ToolError(f"there is no item {item_id!r}")
