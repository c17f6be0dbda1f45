"""From a trajectory to what the model reads and is trained on: the prompt (Table 13), its token ids, targets, weights.

    System: Function:
    def search(query: string):
    …
    User: Find me a hotel in Oslo.
    Assistant: search(query="Oslo")
    Output: [{"id": 7}]
    Assistant: finish(answer="…")

A trajectory is encoded once, however many calls it has. The targets are an array of their own, not the inputs shifted
by one: at the last token of a call the target is ``</s>``, while the next input is the newline before ``Output:``. So
each call gets the same conditional probabilities as in a sample of its own, the end token is trained, and the history
never holds a ``</s>``.

Training and evaluation write the prompt with ``render`` below. For other programs, ``assets/chat_template.jinja``
writes the same text; a test compares the two.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from tl.calls import Call, CallSyntaxError, format_call, format_name, parse_call
from tl.llama.tokenizer import Tokenizer
from tl.mae import ErrorCategory, call_categories
from tl.pkt import call_weights, key_positions
from tl.schema import BUILT_INS, ToolSpec
from tl.trajectory import Message, Trajectory

NO_TARGET = -100
_HEADERS = {"system": "System: ", "user": "User: ", "tool": "Output: "}


class Segment(NamedTuple):
    """A part of the prompt's text: context, or what the assistant says in ``turn``."""

    text: str
    turn: Message | None


@dataclass(frozen=True)
class Turn:
    """One assistant turn of an Example: a call, or plain text in mid-conversation.

    Its tokens are ``input_ids[start:end]``. They and the closing ``</s>`` are the targets at positions
    ``start-1 … end-1``: ``end - start + 1`` targets in all. ``key_positions`` count from the start of the turn.
    """

    start: int
    end: int
    is_call: bool
    category: ErrorCategory
    key_positions: tuple[int, ...]
    trained: bool


@dataclass(frozen=True)
class Example:
    """A tokenised trajectory. All tensors have length T; position t holds token t and predicts ``targets[t]``."""

    id: str
    input_ids: Tensor  # int64
    targets: Tensor  # int64, NO_TARGET where nothing is predicted
    weights: Tensor  # float32, 0 where there is no target or the call is masked
    turn_index: Tensor  # int64, number of the turn that a target belongs to, -1 elsewhere
    turns: tuple[Turn, ...]
    turns_cut: int  # turns left out at the end because the rest did not fit

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def trained_turns(self) -> int:
        """Number of turns that are not masked."""
        return sum(turn.trained for turn in self.turns)

    def after(self, n: int) -> "Example":
        """The example without its first ``n`` tokens; ``turns`` still count from the original start."""
        tensors = ("input_ids", "targets", "weights", "turn_index")
        return replace(self, **{name: getattr(self, name)[n:] for name in tensors})


@dataclass(frozen=True)
class EncodingOptions:
    """How trajectories become examples."""

    mae: bool = True  # erroneous calls weigh 0
    pkt: bool = True  # key tokens weigh more
    w_max: float = 9.0  # largest weight of a key token
    max_length: int = 8192  # tokens; a longer trajectory is cut after a turn
    max_feedback_tokens: int = 2048  # longer feedback is cut in the middle


def render(tools: Sequence[ToolSpec], messages: Sequence[Message]) -> list[Segment]:
    """The prompt of Table 13 as alternating segments of context and assistant turns.

    Joined with a space before each turn, they are the prompt's text. A system message at the start comes before the
    tools. When the last message is not the assistant's, the last segment ends in ``Assistant:``, where the model
    continues.
    """
    own = [m.content for m in messages[:1] if m.role == "system"]
    context = _HEADERS["system"] + "\n\n".join([*own, *(tool.to_prompt() for tool in tools)])
    segments = []
    for message in messages[len(own) :]:
        if message.role == "assistant":
            segments += [Segment(context + "\nAssistant:", None), Segment(message.content, message)]
            context = ""
        else:
            context += "\n" + _HEADERS[message.role] + message.content
    if context:
        segments.append(Segment(context + "\nAssistant:", None))
    return segments


def encode_prompt(
    tools: Sequence[ToolSpec],
    messages: Sequence[Message],
    tokenizer: Tokenizer,
    max_feedback_tokens: int = EncodingOptions.max_feedback_tokens,
) -> list[int]:
    """Ids of everything up to the next assistant turn, beginning with ``<s>`` and ending with ``Assistant:``. Long
    feedback is cut as in training data."""
    ids = tokenizer.start()
    for segment in render(tools, [cut_feedback(m, tokenizer, max_feedback_tokens) for m in messages]):
        ids += tokenizer.encode(segment.text)
    return ids


def encode_call(id: str, prompt_ids: Sequence[int], call: Call, tokenizer: Tokenizer) -> Example:
    """A prompt and the one call that is trained on there, all its tokens alike."""
    call_ids = tokenizer.encode(format_call(call))
    start, end = len(prompt_ids), len(prompt_ids) + len(call_ids)
    turn = Turn(start, end, True, ErrorCategory.ALL_RIGHT, (), True)
    return _example(id, [*prompt_ids, *call_ids], [turn], 1, tokenizer.eos_id, EncodingOptions())


def encode_feedback(feedback: str, tokenizer: Tokenizer) -> list[int]:
    """Ids of the text between a call and the next assistant turn: the call's feedback, cut as in training data, then
    ``Assistant:``."""
    call, output = Message("assistant", "", is_call=True), Message("tool", feedback)
    read = cut_feedback(output, tokenizer, EncodingOptions.max_feedback_tokens)
    return tokenizer.encode(render((), (call, read))[-1].text)


def encode_trajectory(
    trajectory: Trajectory, tokenizer: Tokenizer, options: EncodingOptions | None = None
) -> Example | None:
    """The training example of a trajectory, or None when not even its first turn fits into ``max_length``.

    Erroneous calls weigh 0 (MAE, section 3.1) unless ``options.mae`` is off; a call that does not parse always weighs
    0. Key tokens weigh more (PKT, section 3.2) unless ``options.pkt`` is off. Raises ValueError for text that no
    encoding of Unicode can hold.
    """
    options = options or EncodingOptions()
    messages = [cut_feedback(m, tokenizer, options.max_feedback_tokens) for m in trajectory.messages]
    categories = iter(call_categories(trajectory))
    names = [tool.name for tool in trajectory.tools]
    ids, n_turns = tokenizer.start(), 0
    turns: list[Turn] = []
    for text, turn in render(trajectory.tools, messages):
        segment_ids = tokenizer.encode(text)
        start, end = len(ids), len(ids) + len(segment_ids)
        if turn is not None:
            n_turns += 1
            category = next(categories) if turn.is_call else ErrorCategory.ALL_RIGHT
            if end <= options.max_length:
                turns.append(_turn(turn, segment_ids, start, category, names, tokenizer, options))
        ids += segment_ids
    return _example(trajectory.id, ids, turns, n_turns, tokenizer.eos_id, options) if turns else None


def _turn(
    message: Message,
    ids: list[int],
    start: int,
    category: ErrorCategory,
    tools: Sequence[str],
    tokenizer: Tokenizer,
    options: EncodingOptions,
) -> Turn:
    """The turn with the tokens ``ids``, the first at position ``start``; ``tools`` are the names that may be called."""
    trained = not (category.is_error and options.mae)
    keys: list[int] = []
    if message.is_call:
        try:
            name = parse_call(message.content).name
        except CallSyntaxError:
            trained = False
        else:
            keys = _name_keys(message.content, ids, name, tools, tokenizer) if options.pkt else []
    return Turn(start, start + len(ids), message.is_call, category, tuple(keys), trained)


def _name_keys(text: str, ids: Sequence[int], name: str, tools: Sequence[str], tokenizer: Tokenizer) -> list[int]:
    """Key positions in the ``ids`` of a call's ``text``, where white space or a quote may precede the name.

    The other names are tokenised after the same lead. No token of the lead is key: it does not tell tools apart.
    """
    lead = text[: len(text) - len(text.lstrip())]
    if text[len(lead)] in "'\"" and format_name(name) == name:
        lead += text[len(lead)]
    # The name's ids are those in the call: a final "_" of the name makes one token with the "(" after it.
    end = len(tokenizer.encode(lead + format_name(name)))
    first = _first_with_text(ids, tokenizer, lead)
    others = [name_ids(other, tokenizer, lead) for other in tools if other != name]
    return [first + position for position in key_positions(ids[first:end], others)]


def name_ids(name: str, tokenizer: Tokenizer, lead: str = "") -> list[int]:
    """Ids of a tool's name at the start of a call, from the first piece that has text of the name.

    A vocabulary may begin many names with a bare word mark ``▁``. It does not tell tools apart, so it is no part of
    what names share and never a key token. ``lead`` is the call's text before the name, such as white space.
    """
    ids = tokenizer.encode(lead + format_name(name))
    return ids[_first_with_text(ids, tokenizer, lead) :]


def _first_with_text(ids: Sequence[int], tokenizer: Tokenizer, lead: str) -> int:
    """Position of a call's first token with text that comes after the ``lead``."""
    return next(k for k in range(len(ids)) if len(tokenizer.decode(list(ids[: k + 1]))) > len(lead))


def _example(
    id: str, ids: list[int], turns: list[Turn], n_turns: int, eos_id: int, options: EncodingOptions
) -> Example:
    """The example of these tokens and turns. It ends with the last token of the last turn, which predicts ``</s>``."""
    input_ids = torch.tensor(ids[: turns[-1].end])
    targets = torch.full_like(input_ids, NO_TARGET)
    weights = torch.zeros(len(input_ids))
    turn_index = torch.full_like(input_ids, -1)
    for number, turn in enumerate(turns):
        predicting = slice(turn.start - 1, turn.end)
        targets[predicting] = torch.tensor([*ids[turn.start : turn.end], eos_id])
        turn_index[predicting] = number
        if turn.trained:
            weights[predicting] = call_weights(turn.end - turn.start + 1, turn.key_positions, options.w_max)
    return Example(id, input_ids, targets, weights, turn_index, tuple(turns), n_turns - len(turns))


def cut_feedback(message: Message, tokenizer: Tokenizer, max_tokens: int) -> Message:
    """The message; a tool's feedback of more than ``max_tokens`` tokens is cut in the middle, and the cut marked."""
    if message.role != "tool" or len(message.content.encode(errors="replace")) <= max_tokens:
        return message  # every token stands for at least one byte
    ids = tokenizer.encode(message.content)
    if len(ids) <= max_tokens:
        return message
    half = max_tokens // 2
    head, tail = (tokenizer.decode(part).strip("\ufffd") for part in (ids[:half], ids[-half:]))
    return Message("tool", f"{head} … [{len(ids) - 2 * half} tokens cut] … {tail}")


def chat_template() -> str:
    """A jinja template that writes the same prompt as ``render``, for checkpoints that other programs open."""
    template = (Path(__file__).parent / "assets" / "chat_template.jinja").read_text(encoding="utf-8")
    return template.replace("BUILT_INS", json.dumps([tool.to_openai() for tool in BUILT_INS]))
