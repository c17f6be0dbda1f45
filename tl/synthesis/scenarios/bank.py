"""Requests for `tools/bank.py`."""

from tl.synthesis.scenarios import Ask, Draw, Plan, call, scenario
from tools.bank import CURRENCIES, MEMOS


@scenario(
    phrasings=(
        "How much money is on account {id}?",
        "What is the balance of {id}?",
        "Tell me the balance of my account {id}.",
        "Check how much is left on {id}.",
        "What have I got on {id}?",
        "Balance of {id}, please.",
        "I want to know the balance of account {id}.",
        "Is there money left on {id}?",
        "Look at account {id}: what is its balance?",
    ),
    unseen=("Please look up the balance of the account {id}.", "How much do I have on {id}?"),
    ask=Ask(
        "id",
        "account_id",
        phrasings=(
            "How much money is on my account?",
            "What is my balance?",
            "How much money do I have?",
            "Check my balance.",
            "Is there money left on the account?",
        ),
        unseen=("Please look up the balance of my account.",),
    ),
)
def balance(draw: Draw) -> Plan:
    account_id = draw.one(_accounts(draw))
    yield {"id": account_id}
    yield call("get_account_balance", account_id=account_id)


@scenario(
    phrasings=(
        "Who owns account {id}?",
        "Whose account is {id}?",
        "Tell me the owner of {id}.",
        "To which person is {id} registered?",
        "Find the owner of account {id}.",
        "Give me the name of the owner of {id}.",
        "Who is the holder of account {id}?",
    ),
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
        "Recent bookings of {id}, please.",
        "Which payments went through {id} recently?",
        "I want to see what was booked on account {id}.",
        "Look up the bookings of {id}.",
    ),
    unseen=("List the latest bookings on the account {id}.",),
)
def bookings(draw: Draw) -> Plan:
    account_id = draw.one(_accounts(draw))
    yield {"id": account_id}
    yield call("get_account_bookings", account_id=account_id)


@scenario(
    phrasings=(
        "Show me the last {limit} bookings of {id}.",
        "What are the {limit} latest bookings of account {id}?",
        "Give me {limit} bookings of {id}, the newest ones.",
        "I only need the last {limit} bookings of account {id}.",
        "What were the last {limit} payments on {id}?",
        "Look up {limit} bookings of {id}, not more.",
    ),
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
        "I owe {amount} to {target}. Pay it from {source}.",
        "Take {amount} from {source} and give it to {target}.",
        "{target} should get {amount} from my account {source}.",
        "Make a payment of {amount} from {source} to {target}.",
        "Could you transfer {amount} to {target}? The money is on {source}.",
    ),
    unseen=(
        "Please send the amount of {amount} from {source} to {target}.",
        "From {source}, transfer {amount} to {target}.",
    ),
    ask=Ask(
        "amount",
        "amount",
        phrasings=(
            "Transfer money from {source} to {target}.",
            "Send something from {source} to {target}.",
            "Pay something from {source} to {target}.",
            "Move money from account {source} to {target}.",
            "{target} should get money from {source}.",
        ),
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
        "Transfer {amount} from {source} to {target} and write {memo} as the memo.",
        "{target} gets {amount} from {source}, the purpose is {memo}.",
        "Pay {amount} for {memo} from {source} to {target}.",
        "Make a payment of {amount} from {source} to {target}, with the memo {memo}.",
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
        "Convert {base} to {target}: what is the rate?",
        "At what rate is {base} changed into {target}?",
        "I travel and need {target} for my {base}. What is the rate?",
        "Give me the rate {base} to {target}.",
    ),
    unseen=("Tell me what one {base} is worth in {target}.",),
    ask=Ask(
        "target",
        "target",
        phrasings=(
            "What is the exchange rate of {base}?",
            "Look up the rate of {base}.",
            "What do I get for one {base}?",
            "I want to change my {base}. What is the rate?",
            "Give me the rate of {base}.",
        ),
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
        "Look up the owner of {id}; afterwards I need the balance.",
        "Whose account is {id}, and what is its balance?",
        "First tell me who owns {id}, then how much money is there.",
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
        "See how much {source} has, and send {amount} to {target}.",
        "What is the balance of {source}? Then pay {amount} from it to {target}.",
        "Before you send {amount} from {source} to {target}, check its balance.",
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
