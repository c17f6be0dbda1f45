"""Requests for `tools/shop.py`."""

from tl.synthesis.scenarios import Ask, Draw, Plan, call, scenario
from tools.shop import COUPONS, NOUNS


@scenario(
    phrasings=(
        "Do you sell a {product}?",
        "Search the shop for a {product}.",
        "I am looking for a {product}.",
        "Find me a {product} in the shop.",
        "Is there a {product} in your shop?",
        "I want to buy a {product}. What do you have?",
        "Have you got a {product}?",
        "I need a {product}. Search for it.",
        "Look in the shop for a {product}.",
        "Which {product} can I buy here?",
        "Show me what you have when I search for {product}.",
        "Could you look for a {product}?",
        "A {product}, do you have one?",
        "Search: {product}.",
        "I would love to have a {product}. Find one.",
    ),
    unseen=("Please search for a {product}.", "Can I get a {product} in the shop?"),
    ask=Ask(
        "product",
        "query",
        phrasings=(
            "I want to buy something.",
            "Search the shop for me.",
            "Find me a product in the shop.",
            "I am looking for a present in the shop.",
            "Do you sell it?",
            "I need a new thing for my flat. Search the shop.",
            "Look in the shop for me.",
            "Show me what I could buy.",
            "Could you look for a product?",
        ),
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
        "I need a {product}, but not for more than {price}.",
        "Look for a {product} below {price} euros.",
        "My budget is {price} euros. Find a {product}.",
        "Show me a {product} with a price of at most {price}.",
        "Is there a {product} for {price} or less?",
        "I can spend {price}. Is there a {product}?",
        "Find a {product}, the price should not go over {price}.",
        "Do you have a {product}? It must not cost more than {price}.",
        "A {product} please, {price} euros at the very most.",
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
        "Browse the category {category}.",
        "Give me all products in the category {category}.",
        "I would like to look at {category} products.",
        "What can I buy for {category}?",
        "Open the {category} section of the shop.",
        "Products for {category}, please.",
        "Could you list all that belongs to {category}?",
        "Tell me what you sell in {category}.",
    ),
    unseen=("Please show the {category} category.", "Which products are in {category}?"),
    ask=Ask(
        "category",
        "category",
        phrasings=(
            "Show me the products of a category.",
            "List the products of my favourite category.",
            "I would like to browse a category.",
            "What is there in the category?",
            "List all products of one category.",
            "Open a section of the shop for me.",
            "I want to see everything of one kind.",
        ),
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
        "Give me the price of product {id}.",
        "Is {id} expensive?",
        "Which product is {id}, and what does it cost?",
        "I want to know what {id} costs.",
        "Price of {id}, please.",
        "Look up product {id}.",
        "What do you charge for {id}?",
        "Show me the name and the price of {id}.",
    ),
    unseen=("Look up the price of the product {id}.", "How much do I pay for {id}?"),
    ask=Ask(
        "id",
        "product_id",
        phrasings=(
            "What does that product cost?",
            "What is the price of the product?",
            "How much is it?",
            "Is the product expensive?",
            "I want to know what it costs.",
            "Look up the product.",
            "Tell me the price, please.",
            "What do you charge for that?",
        ),
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
        "How much stock of {id} is there?",
        "Can I still get {id}, or is it sold out?",
        "Is product {id} available?",
        "Look up how many {id} you have.",
        "Tell me the number of {id} in stock.",
        "Are there any {id} left?",
        "I need to know if {id} is sold out.",
        "Stock of {id}, please.",
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
        "What rating does {id} have?",
        "Do people like {id}? Look at the reviews.",
        "Show me how customers rate {id}.",
        "I want to see the ratings of {id}.",
        "Are the reviews of product {id} good?",
        "What do customers think of {id}?",
        "Look up the reviews of {id}.",
        "How many stars does {id} get on average?",
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
        "Give me the reviews of {id}, but only those with at least {rating}.",
        "I only care for ratings from {rating} upwards. How many does {id} have?",
        "Show the reviews of {id} with a minimum of {rating}.",
        "How often was {id} rated {rating} or better?",
        "Reviews of {id} from {rating} on, please.",
        "What about {id}: how many ratings are {rating} and above?",
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
        "I need {quantity} pieces of {id}, order them.",
        "Send me {quantity} of {id}.",
        "I take {quantity} of product {id}.",
        "Could you order {quantity} times {id}?",
        "Get {quantity} of {id} for me.",
        "{quantity} pieces of {id}, please. Place the order.",
        "Let me have {quantity} of product {id}.",
        "Make an order: {id}, {quantity} pieces.",
    ),
    unseen=("I want to order {quantity} of {id}.", "Get me {quantity} pieces of product {id}, please order them."),
    ask=Ask(
        "quantity",
        "quantity",
        phrasings=(
            "Order some pieces of {id}.",
            "I would like to buy {id}.",
            "Place an order for product {id}.",
            "Please order product {id}.",
            "Buy {id} for me.",
            "I need {id}, order it.",
            "Send me a few of {id}.",
            "Get some of {id} for me.",
            "Let me have product {id}.",
        ),
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
        "I have the coupon {coupon}. Order {quantity} of {id} with it.",
        "Order {quantity} of {id}, the coupon is {coupon}.",
        "Get me {quantity} pieces of {id} and apply {coupon}.",
        "Send me {quantity} of product {id}; I have the code {coupon}.",
        "Use {coupon} to buy {quantity} pieces of {id}.",
        "I would like {quantity} of {id}, with the discount code {coupon}.",
        "Place an order for {quantity} of {id}, coupon {coupon}.",
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
        "Where does my order {id} stand?",
        "What happens with order {id}?",
        "When will {id} arrive? Look up the order.",
        "How is my order {id} doing?",
        "Show me order {id}.",
        "Is my order {id} on its way?",
        "I ordered something, the number is {id}. What is its status?",
        "Status of {id}, please.",
    ),
    unseen=("Check the status of my order {id}.", "Please look up whether order {id} is shipped."),
    ask=Ask(
        "id",
        "order_id",
        phrasings=(
            "What is the status of my order?",
            "Where is my order?",
            "Has my order been shipped?",
            "Look up my order.",
            "How far is my order?",
            "Is my order on its way?",
            "When will my order arrive?",
            "I ordered something last week. Where is it?",
            "Show me my order.",
        ),
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
        "I want to cancel {id}.",
        "Take back my order {id}.",
        "Order {id} was a mistake, cancel it.",
        "Could you cancel order {id}?",
        "Call off order {id}, please.",
        "Please stop {id}, I do not need it.",
        "Annul my order {id}.",
        "My order {id} should be cancelled.",
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
        "Look up a {product} and order {quantity} of them.",
        "I want {quantity} pieces of a {product}. Search, then place the order.",
        "Buy me {quantity} of a {product}; search for it first.",
        "Find the {product} and send me {quantity} pieces.",
        "Get {quantity} of the {product}: search for it, then order it.",
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
        "Look for a {product}. How many of them are in stock?",
        "Search the {product} and see if it is available.",
        "Do you still have the {product}? Find it, then look at the stock.",
        "I want to know the stock of your {product}, please find it.",
        "Find the {product} and see how many there are.",
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
        "Look for a {product}, check name, price and stock, then buy one.",
        "Before you order one {product}, find it and check price and stock.",
        "Order one {product}, but first find it and look at the price and at the stock.",
        "Get me one {product}. Search it, see what it costs and whether it is there, and order.",
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
        "Place an order for {quantity} of {id}, then show me the order.",
        "Order {quantity} times {id}; after that tell me how the order stands.",
        "Send me {quantity} of {id} and look up the order you made.",
        "I want {quantity} pieces of {id}. Order them and check the order.",
        "Buy {quantity} of {id} and tell me the status of it.",
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
