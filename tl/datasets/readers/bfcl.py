"""BFCL's multi-turn questions with their golden calls, which are in a separate file."""

from tl.datasets.source import python_call
from tl.schema import ToolSpec
from tl.trajectory import Notes

FUNCTION_DOC_OF = {  # class -> the file of its functions
    "GorillaFileSystem": "gorilla_file_system",
    "MathAPI": "math_api",
    "MessageAPI": "message_api",
    "TicketAPI": "ticket_api",
    "TradingBot": "trading_bot",
    "TravelAPI": "travel_booking",
    "TwitterAPI": "posting_api",
    "VehicleControlAPI": "vehicle_control",
}


def available(raw: dict, functions: dict[str, list[dict]]) -> list[dict]:
    """The functions of a question's classes without those that it excludes; none if a class is unknown."""
    classes, excluded = raw["involved_classes"], raw.get("excluded_function") or []
    if not isinstance(classes, list) or not all(of in functions for of in classes):
        return []
    return [doc for of in classes for doc in functions[of] if doc.get("name") not in excluded]


def is_multi_turn(raw: object) -> bool:
    return isinstance(raw, dict) and isinstance(raw.get("question"), list) and "involved_classes" in raw


def multi_turn(raw: dict, notes: Notes) -> dict:
    answers = raw.get("ground_truth")
    if not isinstance(answers, list):
        raise ValueError(
            "a question without its golden calls: put possible_answer/ of the same name, or …_answers.json, next to it"
        )
    question = raw["question"]
    if len(question) != len(answers) or not all(isinstance(part, list) for part in [*question, *answers]):
        raise ValueError(f"{len(question)} turns and golden calls for {len(answers)}")
    docs = raw.get("function") or None
    specs = tuple(ToolSpec.from_openai(doc) for doc in docs or [])
    messages: list = []
    for asked, golden in zip(question, answers, strict=True):
        messages += asked
        if golden:
            messages.append({"role": "assistant", "tool_calls": [_call(str(text), specs, notes) for text in golden]})
    return {"id": raw.get("id"), "tools": docs, "messages": messages}


def _call(text: str, specs: tuple[ToolSpec, ...], notes: Notes) -> dict:
    call = python_call(text, notes, specs)
    return {"text": text} if call is None else {"name": call.name, "arguments": call.arguments}


def is_answers(raw: object) -> bool:
    return isinstance(raw, dict) and "ground_truth" in raw and "question" not in raw


def answers(_raw: dict, _notes: Notes) -> dict:
    raise ValueError("golden calls without their questions: give the file of the questions")
