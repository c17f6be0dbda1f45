"""Trajectories → records of OpenAI messages for other trainers, unchanged or with MAE's label for each turn."""

from collections.abc import Iterator, Sequence
from typing import Literal

from tl.calls import format_call
from tl.mae import ErrorCategory, call_categories
from tl.schema import ASK_TO_USER, BUILT_INS, FINISH
from tl.trajectory import Message, Trajectory
from tl.trajectory.message import WEIGHT_0

Style = Literal["weight", "loss", "train", "last"]


def plain_record(trajectory: Trajectory) -> dict:
    """The plainest record that reads back as an equal trajectory. The built-in tools are left out if only the final
    answer, which is written as text, calls them.
    """
    record = trajectory.to_openai()
    if tuple(trajectory.tools[-len(BUILT_INS) :]) != BUILT_INS:
        return record
    answer = _answer(trajectory.messages[-1]) if trajectory.messages else None
    before = trajectory.messages[:-1] if answer else trajectory.messages
    called = {call.name for message in before if (call := message.call)}
    left_out = {FINISH.name} - called | ({ASK_TO_USER.name} - called if FINISH.name not in called else set())
    plain = record | {"tools": [tool for tool in record["tools"] if tool["function"]["name"] not in left_out]}
    if answer:
        marks = {key: value for key, value in record["messages"][-1].items() if key == "weight"}
        plain["messages"] = [*record["messages"][:-1], {"role": "assistant", "content": answer} | marks]
    try:
        is_same = Trajectory.from_openai(plain) == trajectory
    except ValueError:
        is_same = False
    return plain if is_same else record


def _answer(message: Message) -> str | None:
    """The answer of a call of `finish` that has no other argument and the canonical spelling."""
    call = message.call
    if call is None or call.name != FINISH.name or call.arguments.keys() != {*FINISH.required}:
        return None
    (answer,) = call.arguments.values()
    return answer if isinstance(answer, str) and format_call(call) == message.content else None


def labelled(trajectory: Trajectory, style: Style = "weight") -> tuple[list[dict], int]:
    """The records to write for one trajectory, and the number of messages with several calls that were split.

    Every assistant message gets `weight` 0 or 1 (or `loss` or `train`, false or true) and, if it is not to be trained,
    the reason in `why`. Calls of one message stay together if they have the same label. The style "last" makes a record
    for each turn to be trained; the record ends with that turn and gives earlier turns weight 0.
    """
    record = plain_record(trajectory)
    reasons = _reasons(trajectory)
    if style == "last":
        return list(_last_turns(record, reasons)), 0
    zero, one = (0, 1) if style == "weight" else (False, True)
    for message, reason in zip(record["messages"], reasons, strict=True):
        if message["role"] == "assistant":
            message.pop("weight", None)
            message |= {style: zero, "why": reason} if reason else {style: one}
    record["messages"], split = _joined(record["messages"], trajectory.messages)
    return [record], split


def _reasons(trajectory: Trajectory) -> list[str]:
    """Why each message is not to be trained; empty for those that are."""
    categories = iter(call_categories(trajectory))
    reasons = []
    for message in trajectory.messages:
        category = next(categories) if message.is_call else ErrorCategory.ALL_RIGHT
        wrong = "" if category is ErrorCategory.ALL_RIGHT else category.value
        reasons.append(wrong or ("" if message.trained else WEIGHT_0))
    return reasons


def _last_turns(record: dict, reasons: Sequence[str]) -> Iterator[dict]:
    for at, (message, reason) in enumerate(zip(record["messages"], reasons, strict=True)):
        if message["role"] == "assistant" and not reason:
            before = [m | {"weight": 0} if m["role"] == "assistant" else m for m in record["messages"][:at]]
            yield record | {"id": f"{record['id']}#{at}", "messages": [*before, message | {"weight": 1}]}


def _joined(records: list[dict], messages: Sequence[Message]) -> tuple[list[dict], int]:
    """Joins the calls of one message again, before their results; also returns how many messages had to be split."""
    written: list[dict] = []
    split = 0
    opened: dict | None = None  # the last message with calls, which the next call may join
    was_split = False
    for record, message in zip(records, messages, strict=True):
        if message.is_call and message.joined and opened is not None:
            same = {k: v for k, v in opened.items() if k != "tool_calls"} == {
                k: v for k, v in record.items() if k != "tool_calls"
            }
            if same:
                opened["tool_calls"] = [*opened["tool_calls"], *record["tool_calls"]]
                continue
            split += not was_split
            was_split = True
        elif message.role != "tool":
            was_split = False
        written.append(record)
        opened = record if message.is_call else opened if message.role == "tool" else None
    return written, split
