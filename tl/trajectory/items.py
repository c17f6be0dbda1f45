"""Messages in any of their usual layouts → items with one role, one text, and all calls and marks in one place."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tl.calls import JSON, Call, CallSyntaxError, format_call, format_name, parse_call, parse_literal
from tl.forms import ARGUMENT_KEYS, BESIDE_ARGUMENTS, drop_reasoning, read_arguments
from tl.forms.marks import END_TOKENS, OPEN_THOUGHT
from tl.forms.values import unique_keys
from tl.trajectory.message import Note, Notes, Role

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "tool_call", "function_call"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "tool_response", "function_response", "ipython"), "tool"),
}
_CALL_ROLES = ("tool_call", "function_call")
_USUAL_KEYS = {"role", "content", "tool_calls", "function_call"}
_OTHER_CALLS = re.compile(r"(?:invalid_?)?(?:tool|function)s?_?(?:call|use|invocation)s?|calls?", re.IGNORECASE)
_RESULTS = ("result", "output", "response", "observation")
_REASONING_KEYS = ("reasoning_content", "reasoning", "thinking", "thought")
_WEIGHT_KEYS = ("weight", "loss", "train", "trainable", "training", "loss_mask", "loss_weight")
_UNKNOWN_WEIGHTS = ("loss_scale", "train_detail", "training_detail", "mask", "masked", "is_masked")
_TEXT_PARTS = ("text", "input_text", "output_text")
_VERDICTS = ("failed", "is_error", "isError")
_REASONING_PARTS = ("reasoning", "thinking", "redacted_thinking")
_MEDIA = re.compile(r"image|audio|video|file|document|media")
_MEDIA_KEYS = ("images", "image", "videos", "video", "audios", "audio")  # of a record or message
_PROMPT = re.compile(  # how prompt formats begin a turn, or a thought that is not dropped
    r"(?<!`)(?:<\|im_start\|>(?:system|user|assistant|tool)\b|<\|start_header_id\|>\w|<start_of_turn>(?:user|model)\b"
    r"|<\|start\|>assistant\b|<\|channel\|>(?:analysis|final)\b|<\|begin_of_thought\|>|\[/INST\])"
)
_RESPONSES = re.compile(r"\s*(?:<(tool_response|response|function_response)>.*</\1>\s*)\Z", re.DOTALL)
_RESPONSE = re.compile(r"<(tool_response|response|function_response)>(.*?)</\1>", re.DOTALL)


@dataclass
class GivenCall:
    """A call of a record: parsed, or `call` is None and there is only its text."""

    call: Call | None
    text: str
    id: str | None = None
    name: str | None = None
    exact: bool = False  # whether the text must stay as it is


@dataclass
class Item:
    """One message, or one of several results in a message."""

    role: Role
    where: str
    text: str = ""
    calls: list[GivenCall] = field(default_factory=list)
    id: str | None = None
    name: str | None = None
    trained: bool = True
    failed: bool | None = None


def read_items(messages: object, notes: Notes) -> list[Item]:
    """The items of all messages. Raises ValueError that names a message which cannot be read or kept."""
    if not isinstance(messages, list) or not messages:
        raise ValueError("the messages must be a list with at least one message")
    return [item for number, given in enumerate(messages, 1) for item in _items(given, f"message {number}", notes)]


def _items(given: object, where: str, notes: Notes) -> Iterator[Item]:
    if not isinstance(given, dict):
        raise ValueError(f"{where}: must be an object, not {given!r:.80}")
    if "role" not in given:
        raise ValueError(f"{where}: no `role` and `content`, but {keys_of(given)}")
    role = _ROLES.get(given["role"]) if isinstance(given["role"], str) else None
    if role is None:
        raise ValueError(f"{where}: unknown role {given['role']!r:.80}")
    refuse_media(given, f"{where}: ")
    item = Item(role, where, trained=_is_trained(given, role, where, notes))
    if role != "assistant" and _structured_calls(given, where):
        raise ValueError(f"{where}: a call in a message of the {role}'s")
    if role == "tool":
        yield from _tool_items(given, item)
        return
    parts = _Parts(given.get("content"), where)
    yield from parts.results
    item.text, item.calls = parts.text, parts.calls
    if found := _PROMPT.search(item.text):
        raise ValueError(
            f"{where}: the text has {found[0]!r}, as prompts of several turns have it: write each turn as a message of "
            "its own, without the tokens of a prompt format"
        )
    if role == "assistant":
        _read_assistant(given, item, parts, notes)
    elif parts.calls:
        raise ValueError(f"{where}: a call in a message of the {role}'s")
    elif given.get("content") is None:
        raise ValueError(f"{where}: the content must be a string, not None")
    if role != "user" or item.text.strip() or not parts.results:
        yield item


def refuse_media(given: dict, where: str = "") -> None:
    """Raises ValueError for pictures and the like in a record or message."""
    for key in _MEDIA_KEYS:
        if given.get(key):
            raise ValueError(f"{where}has `{key}`, which a text model cannot read")


def keys_of(given: dict) -> str:
    return f"{', '.join(map(str, given)) or 'nothing':.80}"


# ---- marks


def _is_trained(given: dict, role: Role, where: str, notes: Notes) -> bool:
    """Whether the source leaves a message's weight at 1. Raises ValueError for weights other than 0 and 1."""
    for key in _UNKNOWN_WEIGHTS:
        if given.get(key) is not None:
            raise ValueError(f"{where}: `{key}` affects training and is not supported: use `weight`, 0 or 1")
    weights = [(key, given[key]) for key in _WEIGHT_KEYS if given.get(key) is not None]
    for key, weight in weights:
        if not isinstance(weight, bool | int | float) or weight not in (0, 1):
            raise ValueError(f"{where}: `{key}` must be 0 or 1 (or false or true), not {weight!r:.80}")
    if role != "assistant":
        notes[Note.WEIGHT_ELSEWHERE] += any(weight for _, weight in weights)
        return True
    if len({bool(weight) for _, weight in weights}) > 1:
        raise ValueError(f"{where}: {' and '.join(f'`{key}`' for key, _ in weights)} contradict each other")
    return all(weight for _, weight in weights)


# ---- what a message says


class _Parts:
    """The content of a message, which is a text or a list of parts."""

    def __init__(self, content: object, where: str) -> None:
        self.where = where
        self.text = ""
        self.reasoning = False
        self.calls: list[GivenCall] = []
        self.results: list[Item] = []
        if isinstance(content, list):
            for part in content:
                self.add(part)
        elif content is not None:
            self.text = text_of(content, where)

    def add(self, part: object) -> None:
        if isinstance(part, str):
            part = {"type": "text", "text": part}
        if not isinstance(part, dict):
            raise ValueError(f"{self.where}: the content must be a string or a list of parts, not {part!r:.80}")
        kind = part.get("type")
        texts = [part[key] for key in ("text", "value", "content", *_REASONING_KEYS) if part.get(key) is not None]
        text = next(filter(None, texts), "" if texts else None)
        if kind in _TEXT_PARTS:
            self.text += ("\n" if self.text else "") + text_of(text, self.where)
        elif kind in _REASONING_PARTS:
            self.reasoning = True
        elif kind in ("tool_call", "function_call"):
            self.calls += calls_of_json(text or part, self.where)
        elif kind == "tool_use":
            self.calls.append(_call_of_object(part, self.where))
        elif kind == "tool_result":
            text = feedback_of(part.get("content"), self.where)
            verdict = _verdict(part, self.where)
            self.results.append(Item("tool", self.where, text, id=_id(part, "tool_use_id"), failed=verdict))
        elif isinstance(kind, str) and _MEDIA.search(kind):
            raise ValueError(f"{self.where}: contains {_article(kind)}, which a text model cannot read")
        else:
            raise ValueError(f"{self.where}: a part of the content is of the unknown type {kind!r:.80}")


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word:.40}"


def whole_text(content: object, where: str) -> str:
    """The text of a content that is a text or a list of text parts."""
    parts = _Parts(content, where)
    if parts.calls or parts.results:
        raise ValueError(f"{where}: a call or a result where only text can be")
    return parts.text


def text_of(content: object, where: str) -> str:
    if not isinstance(content, str):
        raise ValueError(f"{where}: the content must be a string, not {content!r:.80}")
    return content


def _read_assistant(given: dict, item: Item, parts: _Parts, notes: Notes) -> None:
    """Reads the calls beside the content and drops the reasoning."""
    for key in given.keys() - _USUAL_KEYS:
        if isinstance(given[key] or None, str | list | dict) and _OTHER_CALLS.fullmatch(str(key)):
            raise ValueError(f"{item.where}: `{key}` is not read: put calls under `tool_calls`")
    if (end := _end_of_text(item.text)) < len(item.text):
        item.text = item.text[:end].rstrip()
        notes[Note.END_TOKENS] += 1
    item.text, thoughts = drop_reasoning(item.text)
    if OPEN_THOUGHT.match(item.text):
        raise ValueError(f"{item.where}: reasoning that does not end")
    if given["role"] in _CALL_ROLES:
        item.calls, item.text = calls_of_json(item.text, item.where), ""
    item.calls += _structured_calls(given, item.where)
    if thoughts or parts.reasoning or any(_is_said(given.get(key), item.text) for key in _REASONING_KEYS):
        notes[Note.REASONING] += 1
    content = given.get("content")
    if content is None and not item.calls and not parts.text:
        raise ValueError(f"{item.where}: the content must be a string, not None")


def _end_of_text(text: str) -> int:
    """Where a text ends without the tokens at its end. After `<s>`, a `</s>` is a tag."""
    tokens = END_TOKENS[: -1 if "<s>" in text else None]
    end = at = len(text)
    while at and (text[at - 1].isspace() or text.endswith(tokens, 0, at)):
        token = next((token for token in tokens if text.endswith(token, 0, at)), "")
        at -= len(token) or 1
        end = at if token else end
    return end


def _is_said(thought: object, text: str) -> bool:
    """Whether there is a thought other than a copy of the text."""
    return bool(thought) and not (isinstance(thought, str) and thought.strip() in ("", text.strip()))


# ---- calls


def _structured_calls(given: dict, where: str) -> list[GivenCall]:
    """The calls under `tool_calls` or `function_call`."""
    listed, single = given.get("tool_calls"), given.get("function_call")
    if isinstance(listed, str) and listed.strip():
        listed = json_or_none(listed) or listed
    if listed and (not isinstance(listed, list) or not all(isinstance(call, dict) for call in listed)):
        raise ValueError(f"{where}: `tool_calls` must be a list of objects")
    calls = [_call_of_object(call, where) for call in listed or []]
    if isinstance(single, str) and single.strip():
        single = json_or_none(single) or single
    if single and not isinstance(single, dict):
        raise ValueError(f"{where}: `function_call` must be an object")
    if isinstance(single, dict) and single.get("name"):
        call = _call_of_object(single, where)
        if calls and [c.text for c in calls] != [call.text]:
            raise ValueError(f"{where}: `tool_calls` and `function_call` contain different calls")
        calls = calls or [call]
    return calls


def calls_of_json(given: object, where: str) -> list[GivenCall]:
    """The calls in a JSON text, one or a list. A text that cannot be read counts as one broken call."""
    value = json_or_none(given) if isinstance(given, str) else given
    entries = value if isinstance(value, list) else [value]
    objects = [entry for entry in entries if isinstance(entry, dict)]
    if not entries or len(objects) < len(entries):
        return [GivenCall(None, str(given))]
    return [_call_of_object(entry, where) for entry in objects]


def json_or_none(text: str) -> object:
    try:
        return parse_literal(text)
    except CallSyntaxError:
        try:
            return json.loads(text, strict=False, object_pairs_hook=unique_keys)
        except ValueError:
            return None


def _call_of_object(entry: dict, where: str) -> GivenCall:
    if isinstance(entry.get("text"), str):
        return replace(call_of_text(entry["text"], _id(entry, "id")), exact=True)
    for key in _RESULTS:
        if entry.get(key) is not None:
            raise ValueError(f"{where}: a call with its `{key}`: put results into messages of the role tool")
    function = entry["function"] if isinstance(entry.get("function"), dict) else entry
    name = function.get("name", function.get("function"))
    if not isinstance(name, str) or (not name and "index" in entry):  # the parts of a streamed call have an index
        raise ValueError(f"{where}: a call without the name of a function")
    given = [key for key in ARGUMENT_KEYS if function.get(key) is not None]
    if len(given) > 1:
        raise ValueError(f"{where}: a call with both {' and '.join(f'`{key}`' for key in given)}")
    others = {key: value for key, value in function.items() if key not in BESIDE_ARGUMENTS and value is not None}
    if others and not given:  # their author may have meant them as arguments
        return GivenCall(None, f"{format_name(name)}({json.dumps(others, ensure_ascii=False)})", _id(entry, "id"), name)
    return given_call(name, function[given[0]] if given else None, _id(entry, "id"))


def given_call(name: str, arguments: JSON, call_id: str | None = None) -> GivenCall:
    """A call from its name and its arguments, which may be a text. Arguments that are no object stay as they are."""
    try:
        call = Call(name, read_arguments(arguments))
        return GivenCall(call, format_call(call), call_id, name)
    except ValueError:
        raw = arguments if isinstance(arguments, str) else json.dumps(arguments)
        return replace(call_of_text(f"{format_name(name)}({raw})", call_id), name=name)


def call_of_text(text: str, call_id: str | None = None) -> GivenCall:
    """A call in the form of `tl.calls`; its text is kept."""
    try:
        call = parse_call(text)
    except CallSyntaxError:
        name, opening, _ = text.partition("(")
        return GivenCall(None, text, call_id, name if opening else None)
    return GivenCall(call, text, call_id, call.name)


def parsed_call(call: Call) -> GivenCall:
    """A call that has already been parsed."""
    return GivenCall(call, format_call(call), None, call.name)


# ---- feedback


def _tool_items(given: dict, item: Item) -> Iterator[Item]:
    """The result in a tool's message, or several that stand there in tags or under `tool_responses` (AutoGen)."""
    if isinstance(inner := given.get("tool_responses"), list) and inner:
        for response in inner:
            if not isinstance(response, dict) or response.get("tool_responses"):
                raise ValueError(f"{item.where}: `tool_responses` must be a list of results, not {response!r:.80}")
            yield from _tool_items(response, item)
        return
    if isinstance(error := given.get("error"), str | dict | list) and error:
        raise ValueError(f"{item.where}: an `error` beside the content: put it into the content, with `is_error`: true")
    ids = given.get("tool_call_ids")
    item.id = _id(given, "tool_call_id") or (str(ids[0]) if isinstance(ids, list) and len(ids) == 1 else None)
    item.name = _id(given, "name")
    item.failed = _verdict(given, item.where)
    texts = in_tags(feedback_of(given.get("content"), f"{item.where}, feedback"))
    for text in texts:
        yield replace(item, text=text)


def _verdict(given: dict, where: str) -> bool | None:
    """The source's own verdict on the call of this result. Raises ValueError for anything but true and false."""
    for key in _VERDICTS:
        if (verdict := given.get(key)) is not None:
            if verdict not in (0, 1):
                raise ValueError(f"{where}: `{key}` must be true or false, not {verdict!r:.80}")
            return bool(verdict)
    return True if given.get("status") == "error" else None  # LangChain's "success" says nothing of the output


def in_tags(text: str) -> list[str]:
    """The contents of `<tool_response>` tags if the text consists of these; otherwise the text."""
    return [found[2].strip() for found in _RESPONSE.finditer(text)] if _RESPONSES.match(text) else [text]


def feedback_of(content: object, where: str) -> str:
    """A result as text, from a text, a list of parts or a JSON value."""
    if isinstance(content, str):
        return content
    if content is None:
        raise ValueError(f"{where}: the content must be a string, not None")
    if isinstance(content, list) and content and all(isinstance(p, dict) and "type" in p for p in content):
        kinds = {str(part["type"]) for part in content}
        if kinds <= set(_TEXT_PARTS) or any(_MEDIA.search(kind) for kind in kinds):
            return _Parts(content, where).text
    return json.dumps(content, ensure_ascii=False)


def _id(entry: dict, key: str) -> str | None:
    return None if entry.get(key) in (None, "") else str(entry[key])
