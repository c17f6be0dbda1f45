"""Requests for `tools/shop.py`."""

from tl.scenarios import Ask, Draw, Plan, call, scenario
from tools.shop import COUPONS, NOUNS


@scenario(
    phrasings=(
        "Do you sell a {product}?",
        "Search the shop for a {product}.",
        "I am looking for a {product}.",
        "Find me a {product} in the shop.",
        "Is there a {product} in your shop?",
        "I want to buy a {product}. What do you have?",
    ),
    unseen=("Please search for a {product}.", "Can I get a {product} in the shop?"),
    ask=Ask(
        "product",
        "query",
        phrasings=("I want to buy something.", "Search the shop for me.", "Find me a product in the shop."),
        unseen=("Please search the shop for something.",),
    ),
)
def search(draw: Draw) -> Plan:
    product = draw.one(_names(draw))
    yield {"product": product}
    yield call("search_products", query=product)


@scenario(
    phrasings=(
        "Find a {product} for at most {price} euros.",
        "I am looking for a {product} that costs no more than {price}.",
        "Search for a {product} under {price} euros.",
        "Do you sell a {product} for up to {price}?",
    ),
    unseen=("Please search for a {product}. It may cost at most {price}.",),
)
def search_cheap(draw: Draw) -> Plan:
    product, price = draw.one(_names(draw)), draw.any(range(15, 100, 5))
    yield {"product": product, "price": price}
    yield call("search_products", query=product, max_price=price)


@scenario(
    phrasings=(
        "Which {category} products do you have?",
        "Show me the products of the category {category}.",
        "List products in {category}.",
        "I want to see everything for {category}.",
        "What is there in the {category} category?",
    ),
    unseen=("Please show the {category} category.", "Which products are in {category}?"),
    ask=Ask(
        "category",
        "category",
        phrasings=("Show me the products of a category.", "List the products of my favourite category."),
        unseen=("Which products are in that category?",),
    ),
)
def category(draw: Draw) -> Plan:
    chosen = draw.any(tuple(NOUNS))
    yield {"category": chosen}
    yield call("search_products_by_category", category=chosen)


@scenario(
    phrasings=(
        "What does product {id} cost?",
        "What is the price of {id}?",
        "How much is {id}?",
        "Tell me name and price of product {id}.",
        "What is {id}, and how much does it cost?",
    ),
    unseen=("Look up the price of the product {id}.", "How much do I pay for {id}?"),
    ask=Ask(
        "id",
        "product_id",
        phrasings=("What does that product cost?", "What is the price of the product?"),
        unseen=("How much do I pay for the product?",),
    ),
)
def price(draw: Draw) -> Plan:
    product_id = draw.one(list(draw.world("shop").products))
    yield {"id": product_id}
    yield call("get_product", product_id=product_id)


@scenario(
    phrasings=(
        "How many pieces of {id} are left?",
        "Is {id} in stock?",
        "Check the stock of product {id}.",
        "Do you still have {id} in stock?",
        "What is the stock of {id}?",
    ),
    unseen=("Are there pieces of {id} left in stock?", "Please check how many of product {id} are in stock."),
)
def stock(draw: Draw) -> Plan:
    product_id = draw.one(list(draw.world("shop").products))
    yield {"id": product_id}
    yield call("get_product_stock", product_id=product_id)


@scenario(
    phrasings=(
        "How good are the reviews of {id}?",
        "What do the ratings of product {id} say?",
        "What is the average rating of {id}?",
        "Give me the reviews of {id}.",
        "Is {id} well rated?",
    ),
    unseen=("Tell me the average of the ratings of {id}.", "How is product {id} rated in the reviews?"),
)
def reviews(draw: Draw) -> Plan:
    product_id = draw.one(list(draw.world("shop").products))
    yield {"id": product_id}
    yield call("get_product_reviews", product_id=product_id)


@scenario(
    phrasings=(
        "How many ratings of at least {rating} does {id} have?",
        "Count the reviews of {id} with {rating} or more.",
        "Of the reviews of product {id}, how many give {rating} or better?",
    ),
    unseen=("How many reviews of {id} have a rating of {rating} or higher?",),
)
def good_reviews(draw: Draw) -> Plan:
    product_id, rating = draw.one(list(draw.world("shop").products)), draw.any((2, 3, 4, 5))
    yield {"id": product_id, "rating": rating}
    yield call("get_product_reviews", product_id=product_id, min_rating=rating)


@scenario(
    phrasings=(
        "Order {quantity} pieces of {id}.",
        "I would like to buy {quantity} of {id}.",
        "Please order product {id}, {quantity} pieces.",
        "Buy {quantity} times {id} for me.",
        "Place an order for {quantity} of product {id}.",
    ),
    unseen=("I want to order {quantity} of {id}.", "Get me {quantity} pieces of product {id}, please order them."),
    ask=Ask(
        "quantity",
        "quantity",
        phrasings=("Order some pieces of {id}.", "I would like to buy {id}.", "Place an order for product {id}."),
        unseen=("I want to order {id}.",),
    ),
)
def order(draw: Draw) -> Plan:
    product_id, quantity = draw.one(_in_stock(draw)), draw.any(range(1, 10))
    yield {"id": product_id, "quantity": quantity}
    yield call("create_order", product_id=product_id, quantity=quantity)


@scenario(
    phrasings=(
        "Order {quantity} pieces of {id} with the coupon {coupon}.",
        "Buy {quantity} of {id}. My code is {coupon}.",
        "Please order {quantity} times {id} and use the coupon {coupon}.",
    ),
    unseen=("With the code {coupon}, order {quantity} pieces of product {id}.",),
)
def order_with_coupon(draw: Draw) -> Plan:
    product_id, quantity, coupon = draw.one(_in_stock(draw)), draw.any(range(1, 10)), draw.any(tuple(COUPONS))
    yield {"id": product_id, "quantity": quantity, "coupon": coupon}
    yield call("create_order", product_id=product_id, quantity=quantity, coupon=coupon)


@scenario(
    phrasings=(
        "What is the status of order {id}?",
        "Where is my order {id}?",
        "Has order {id} been shipped?",
        "Look up my order {id}.",
        "Tell me how far order {id} is.",
    ),
    unseen=("Check the status of my order {id}.", "Please look up whether order {id} is shipped."),
    ask=Ask(
        "id",
        "order_id",
        phrasings=("What is the status of my order?", "Where is my order?", "Has my order been shipped?"),
        unseen=("Check the status of my order.",),
    ),
)
def order_status(draw: Draw) -> Plan:
    order_id = draw.one(list(draw.world("shop").orders))
    yield {"id": order_id}
    yield call("get_order", order_id=order_id)


@scenario(
    phrasings=(
        "Cancel order {id}.",
        "I do not want order {id} any more. Please cancel it.",
        "Please cancel my order {id}.",
        "Stop order {id} and refund me.",
    ),
    unseen=("I changed my mind, cancel the order {id}.", "Can you cancel {id} for me?"),
)
def cancel(draw: Draw) -> Plan:
    orders = draw.world("shop").orders
    order_id = draw.one([key for key in orders if orders[key]["status"] != "shipped"])
    yield {"id": order_id}
    yield call("cancel_order", order_id=order_id)


@scenario(
    phrasings=(
        "Search for a {product} and order {quantity} of the first one.",
        "Find a {product} and buy {quantity} of it.",
        "I need {quantity} of your {product}. Find it and order.",
    ),
    unseen=("Look for a {product}, then order {quantity} pieces of the first.",),
)
def search_and_order(draw: Draw) -> Plan:
    world = draw.world("shop")
    product = draw.one([world.products[key]["name"] for key in _in_stock(draw)])
    quantity = draw.any(range(1, 6))
    yield {"product": product, "quantity": quantity}
    found = yield call("search_products", query=product)
    yield call("create_order", product_id=found[0]["product_id"], quantity=quantity)


@scenario(
    phrasings=(
        "Find a {product} and check whether it is in stock.",
        "Is a {product} in stock? Search for it first.",
        "Search for a {product} and tell me how many are left.",
    ),
    unseen=("How many are left of the {product}? Please search and check the stock.",),
)
def search_and_stock(draw: Draw) -> Plan:
    product = draw.one(_names(draw))
    yield {"product": product}
    found = yield call("search_products", query=product)
    yield call("get_product_stock", product_id=found[0]["product_id"])


@scenario(
    phrasings=(
        "Find a {product}, check its name, its price and its stock, and order one.",
        "Search for a {product}. Look at price and stock, then order one.",
    ),
    unseen=("I want one {product}: search it, look at price and stock, then order it.",),
)
def careful_order(draw: Draw) -> Plan:
    world = draw.world("shop")
    product = draw.one([world.products[key]["name"] for key in _in_stock(draw)])
    yield {"product": product}
    found = yield call("search_products", query=product)
    product_id = found[0]["product_id"]
    yield call("get_product", product_id=product_id)
    yield call("get_product_stock", product_id=product_id)
    yield call("create_order", product_id=product_id, quantity=1)


@scenario(
    phrasings=(
        "Order {quantity} pieces of {id} and show me the order afterwards.",
        "Buy {quantity} of {id}, then look up the order.",
    ),
    unseen=("Please order {quantity} of {id} and then check the status of the order.",),
)
def order_and_check(draw: Draw) -> Plan:
    product_id, quantity = draw.one(_in_stock(draw)), draw.any(range(1, 10))
    yield {"id": product_id, "quantity": quantity}
    made = yield call("create_order", product_id=product_id, quantity=quantity)
    yield call("get_order", order_id=made["order_id"])


def _names(draw: Draw) -> list[str]:
    return [product["name"] for product in draw.world("shop").products.values()]


def _in_stock(draw: Draw) -> list[str]:
    products = draw.world("shop").products
    return [key for key, product in products.items() if product["stock"] >= 9]
