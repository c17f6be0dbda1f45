"""An online shop: products, stock, reviews and orders."""

from __future__ import annotations

from typing import Literal

from tools._service import Service
from tools._vocabulary import words

ADJECTIVES = words(
    """
    amber ancient antique automatic bamboo beige black blue brass bright bronze brown ceramic cheap chrome classic
    colorful compact compostable copper cordless cotton crimson crystal curved deluxe digital double electric
    elegant engraved felt flexible foldable folding fragile glass glossy golden granite gray green handmade heavy
    hemp hybrid indigo inflatable insulated iron ivory jade knitted lacquered large lavender leather light lime
    linen long luminous magnetic marble maroon matte mechanical metal mini modern narrow natural navy nylon oak
    olive orange oval padded painted pine pink plain plastic plush pocket polished porcelain portable premium purple
    quiet quilted red reflective reusable robust round rubber rustic satin scented silent silicone silk silver slim
    small smart smooth soft solar square stackable stainless steel striped sturdy tall teak thermal thin tiny
    titanium transparent triple turquoise ultralight velvet vintage violet walnut washable waterproof white wicker
    wide wireless wooden woolen woven yellow
    """
)
NOUNS = {
    "kitchen": words(
        """
        apron blender bowl carafe colander corkscrew cup cutter dish fork fryer funnel grater jar jug juicer kettle
        knife ladle mixer mug opener oven pan peeler pitcher plate pot roaster saucepan scale sieve skillet spatula
        spoon steamer strainer teapot toaster tongs tray whisk
        """
    ),
    "garden": words(
        """
        barrow basket bench birdhouse broom bucket compost fence gazebo gnome greenhouse hammock hedge hoe hose
        lantern mower parasol pergola planter pond pump rake saw scythe secateurs shears shovel sprinkler swing
        trellis trough trowel umbrella vase wheelbarrow
        """
    ),
    "office": words(
        """
        binder bookcase calculator calendar chair clock crayon desk easel envelope eraser file folder highlighter
        keyboard lamp marker monitor mousepad notebook organizer paperweight pen pencil pinboard planner printer
        projector ruler scanner scissors sharpener shelf shredder speaker stamp stapler tablet telephone whiteboard
        """
    ),
    "sports": words(
        """
        backpack ball barbell bat bicycle cap compass dumbbell flask football glove goggles harness helmet hoop
        jacket javelin jersey kayak mat net oar paddle parachute puck racket raft rope saddle skateboard ski sled
        sleeve snorkel stopwatch surfboard tent trampoline treadmill wetsuit whistle
        """
    ),
}
COUPONS = {"SAVE10": 10, "SPRING15": 15, "WELCOME20": 20}


class Toolkit(Service):
    """Twelve products and two orders, drawn anew for every seed; new orders lower the stock."""

    example = ("search_products_by_category", {"category": "garden"})

    host = "api.shop.example"

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        ids = self.random.sample(range(100, 999), 15)
        self.products = {f"K{number}": self._new_product(f"K{number}") for number in ids[:12]}
        self.orders = {f"R{number}": self._new_order() for number in ids[12:14]}
        self._next_order = 1000 + ids[14]

    def _new_product(self, product_id: str) -> dict:
        category = self.random.choice(list(NOUNS))
        return {
            "product_id": product_id,
            "name": f"{self.random.choice(ADJECTIVES)} {self.random.choice(NOUNS[category])}",
            "category": category,
            "price": self.random.randint(300, 9900) / 100,
            "stock": self.random.randint(0, 60),
            "ratings": [self.random.randint(1, 5) for _ in range(4)],
        }

    def _new_order(self) -> dict:
        product = self.random.choice(list(self.products.values()))
        quantity = self.random.randint(1, 5)
        return {
            "product": product["name"],
            "total": round(product["price"] * quantity, 2),
            "status": self.random.choice(("paid", "packed", "shipped")),
        }

    def search_products(self, query: str, max_price: float | None = None) -> list[dict]:
        """Products by words of their name.

        Args:
            query: Words of the name.
            max_price: Highest price.
        """
        self._request("/search")
        found = [p for p in self.products.values() if query.lower() in p["name"]]
        if max_price is not None:
            found = [p for p in found if p["price"] <= max_price]
        return [{"product_id": p["product_id"], "price": p["price"]} for p in found[:3]]

    def search_products_by_category(self, category: Literal["kitchen", "garden", "office", "sports"]) -> list[dict]:
        """Products of a category.

        Args:
            category: The category.
        """
        self._request("/categories")
        if category not in NOUNS:
            raise ValueError(f"category must be one of {', '.join(NOUNS)}, not {category!r}")
        found = [p for p in self.products.values() if p["category"] == category]
        return [{"product_id": p["product_id"], "name": p["name"]} for p in found[:3]]

    def get_product(self, product_id: str) -> dict:
        """Name and price of a product.

        Args:
            product_id: Id such as K123.
        """
        self._request(f"/products/{product_id}")
        product = self.products.get(product_id)
        if product is None:
            return {"error": f"product {product_id} not found"}
        return {"name": product["name"], "price": product["price"]}

    def get_product_stock(self, product_id: str) -> dict:
        """How many pieces of a product are left.

        Args:
            product_id: Id such as K123.
        """
        self._request(f"/stock/{product_id}")
        return {"stock": self.products[product_id]["stock"]}

    def get_product_reviews(self, product_id: str, min_rating: int = 1) -> dict:
        """Number and average of the ratings of a product.

        Args:
            product_id: Id such as K123.
            min_rating: Lowest rating that counts.
        """
        self._request(f"/reviews/{product_id}")
        ratings = [rating for rating in self.products[product_id]["ratings"] if rating >= min_rating]
        return {"count": len(ratings), "average": sum(ratings) / len(ratings) if ratings else None}

    def create_order(self, product_id: str, quantity: int, coupon: str | None = None) -> dict:
        """Order a product.

        Args:
            product_id: Id such as K123.
            quantity: How many pieces.
            coupon: Code for a discount.
        """
        self._request("/orders")
        product = self.products[product_id]
        if quantity < 1:
            raise ValueError("quantity must be at least 1")
        if quantity > product["stock"]:
            return {"error": f"only {product['stock']} left in stock"}
        discount = 0 if coupon is None else COUPONS[coupon]
        product["stock"] -= quantity
        order_id = f"R{self._next_order}"
        self._next_order += 1
        total = round(product["price"] * quantity * (100 - discount) / 100, 2)
        self.orders[order_id] = {"product": product["name"], "total": total, "status": "paid"}
        return {"order_id": order_id, "total": total}

    def get_order(self, order_id: str) -> dict:
        """Product, total and status of an order.

        Args:
            order_id: Id such as R123.
        """
        self._request(f"/orders/{order_id}")
        return self.orders.get(order_id) or {"error": f"order {order_id} not found"}

    def cancel_order(self, order_id: str) -> dict:
        """Cancel an order that has not been shipped.

        Args:
            order_id: Id such as R123.
        """
        self._request(f"/orders/{order_id}/cancel")
        order = self.orders[order_id]
        if order["status"] == "shipped":
            return {"error": f"order {order_id} is already shipped"}
        order["status"] = "cancelled"
        return {"order_id": order_id, "refund": order["total"]}
