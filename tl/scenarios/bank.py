"""Requests for `tools/bank.py`."""

from tl.scenarios import Ask, Draw, Plan, call, scenario
from tools.bank import CURRENCIES, MEMOS


@scenario(
    phrasings=(
        "How much money is on account {id}?",
        "What is the balance of {id}?",
        "Tell me the balance of my account {id}.",
        "Check how much is left on {id}.",
    ),
    unseen=("Please look up the balance of the account {id}.", "How much do I have on {id}?"),
    ask=Ask(
        "id",
        "account_id",
        phrasings=("How much money is on my account?", "What is my balance?"),
        unseen=("Please look up the balance of my account.",),
    ),
)
def balance(draw: Draw) -> Plan:
    account_id = draw.one(_accounts(draw))
    yield {"id": account_id}
    yield call("get_account_balance", account_id=account_id)


@scenario(
    phrasings=("Who owns account {id}?", "Whose account is {id}?", "Tell me the owner of {id}."),
    unseen=("Please look up who owns the account {id}.", "To whom does account {id} belong?"),
)
def owner(draw: Draw) -> Plan:
    account_id = draw.one(_accounts(draw))
    yield {"id": account_id}
    yield call("get_account", account_id=account_id)


@scenario(
    phrasings=(
        "What are the latest bookings of {id}?",
        "Show me the bookings of account {id}.",
        "What was booked on {id} lately?",
    ),
    unseen=("List the latest bookings on the account {id}.",),
)
def bookings(draw: Draw) -> Plan:
    account_id = draw.one(_accounts(draw))
    yield {"id": account_id}
    yield call("get_account_bookings", account_id=account_id)


@scenario(
    phrasings=("Show me the last {limit} bookings of {id}.", "What are the {limit} latest bookings of account {id}?"),
    unseen=("List the last {limit} bookings on {id}.",),
)
def some_bookings(draw: Draw) -> Plan:
    account_id, limit = draw.one(_accounts(draw)), draw.any((1, 3, 4))
    yield {"id": account_id, "limit": limit}
    yield call("get_account_bookings", account_id=account_id, limit=limit)


@scenario(
    phrasings=(
        "Transfer {amount} from {source} to {target}.",
        "Send {amount} from account {source} to account {target}.",
        "Move {amount} from {source} to {target}.",
        "Pay {amount} from {source} to the account {target}.",
    ),
    unseen=(
        "Please send the amount of {amount} from {source} to {target}.",
        "From {source}, transfer {amount} to {target}.",
    ),
    ask=Ask(
        "amount",
        "amount",
        phrasings=("Transfer money from {source} to {target}.", "Send something from {source} to {target}."),
        unseen=("Please send money from {source} to {target}.",),
    ),
)
def transfer(draw: Draw) -> Plan:
    source, target = draw.some(_accounts(draw), 2)
    amount = draw.any(range(5, 95))
    yield {"source": source, "target": target, "amount": amount}
    yield call("transfer_money", source=source, target=target, amount=amount)


@scenario(
    phrasings=(
        "Transfer {amount} from {source} to {target} for {memo}.",
        "Send {amount} from {source} to {target}. The memo is {memo}.",
    ),
    unseen=("Pay {target} {amount} from {source}, memo {memo}.",),
)
def transfer_with_memo(draw: Draw) -> Plan:
    source, target = draw.some(_accounts(draw), 2)
    amount, memo = draw.any(range(5, 95)), draw.one(MEMOS)
    yield {"source": source, "target": target, "amount": amount, "memo": memo}
    yield call("transfer_money", source=source, target=target, amount=amount, memo=memo)


@scenario(
    phrasings=(
        "What is the exchange rate from {base} to {target}?",
        "How many {target} do I get for one {base}?",
        "Look up the rate of {base} in {target}.",
    ),
    unseen=("Tell me what one {base} is worth in {target}.",),
    ask=Ask(
        "target",
        "target",
        phrasings=("What is the exchange rate of {base}?", "Look up the rate of {base}."),
        unseen=("Tell me what one {base} is worth.",),
    ),
)
def rate(draw: Draw) -> Plan:
    base, target = draw.random.sample(CURRENCIES, 2)
    yield {"base": base, "target": target}
    yield call("get_exchange_rate", base=base, target=target)


@scenario(
    phrasings=(
        "Who owns {id}, and how much is on it?",
        "Tell me the owner of account {id}, then its balance.",
    ),
    unseen=("I need the owner and the balance of {id}.",),
)
def owner_and_balance(draw: Draw) -> Plan:
    account_id = draw.one(_accounts(draw))
    yield {"id": account_id}
    account = yield call("get_account", account_id=account_id)
    found = yield call("get_account_balance", account_id=account_id)
    return {**account, **found}


@scenario(
    phrasings=(
        "Check the balance of {source}, then transfer {amount} to {target}.",
        "How much is on {source}? Send {amount} of it to {target}.",
    ),
    unseen=("Look up the balance of {source} and send {amount} from there to {target}.",),
)
def check_and_transfer(draw: Draw) -> Plan:
    source, target = draw.some(_accounts(draw), 2)
    amount = draw.any(range(5, 95))
    yield {"source": source, "target": target, "amount": amount}
    yield call("get_account_balance", account_id=source)
    yield call("transfer_money", source=source, target=target, amount=amount)


def _accounts(draw: Draw) -> list[str]:
    return list(draw.world("bank").accounts)
