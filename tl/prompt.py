"""Encodes a trajectory as token ids, targets and weights.

The prompt format (`tl.templates`) writes a conversation as segments: context, which is only read, and turns of the
assistant, which are predicted. In the paper's format (Table 13):

    System: Function:
    def search(query: string):
    …
    User: Find me a hotel in Oslo.
    Assistant: search(query="Oslo")
    Output: [{"id": 7}]
    Assistant: finish(answer="…")

A trajectory is encoded once, however many calls it has. The targets are a separate array, not the inputs shifted by
one: at the last token of a call the target is the token that ends a turn, while the next input is what the format
continues with, in Table 13 the newline before ``Output:``. So each call gets the same conditional probabilities as in a
separate sample, and the end token is trained whether or not the history contains it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile

import numpy as np
import torch
from torch import Tensor

from tl.calls import Call, format_call
from tl.llama.tokenizer import Tokenizer
from tl.mae import ErrorCategory, call_categories
from tl.pkt import call_weights, key_positions
from tl.schema import ToolSpec
from tl.templates import Segment, Template, template_of
from tl.templates.template import Pieces
from tl.trajectory import Message, Trajectory
from tl.trajectory.message import WEIGHT_0

NO_TARGET = -100


@dataclass(frozen=True)
class Turn:
    """One assistant turn of an Example: a call, or plain text within a conversation.

    Its tokens are ``input_ids[start:end]``. They and the token that ends a turn are the targets at positions
    ``start-1 … end-1``: ``end - start + 1`` targets in all. ``key_positions`` count from the start of the turn.
    """

    start: int
    end: int
    is_call: bool
    category: ErrorCategory
    key_positions: tuple[int, ...]
    trained: bool

    @property
    def why_masked(self) -> str:
        """Why a masked turn is not trained."""
        return self.category.value if self.category.is_error else WEIGHT_0


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


def digest(tensors: Iterable[Tensor]) -> bytes:
    """SHA-256 over the values of tensors, in their order."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.numpy().data)
    return found.digest()


@dataclass(frozen=True)
class EncodingOptions:
    """Settings of the encoding of trajectories."""

    mae: bool = True  # erroneous calls weigh 0
    pkt: bool = True  # key tokens weigh more
    w_max: float = 9.0  # largest weight of a key token
    max_length: int = 8192  # tokens; a longer trajectory is cut after a turn
    max_feedback_tokens: int = 2048  # longer feedback is cut in the middle


def encode_prompt(
    tools: Sequence[ToolSpec],
    messages: Sequence[Message],
    tokenizer: Tokenizer,
    max_feedback_tokens: int = EncodingOptions.max_feedback_tokens,
) -> list[int]:
    """Ids of everything up to the next assistant turn, after ``<s>`` if the vocabulary has it. Long feedback is cut as
    by default in training data."""
    template = template_of(tokenizer)
    read = [cut_feedback(m, tokenizer, max_feedback_tokens) for m in messages]
    return tokenizer.start() + [id for s in template.segments(tools, read) for id in template.encode(s.pieces)]


def encode_call(id: str, prompt_ids: Sequence[int], call: Call, tokenizer: Tokenizer) -> Example:
    """An example of a prompt and one call. All tokens of the call have the same weight."""
    call_ids = _call_ids(call, tokenizer)
    start, end = len(prompt_ids), len(prompt_ids) + len(call_ids)
    turn = Turn(start, end, True, ErrorCategory.ALL_RIGHT, (), True)
    return make_example(id, torch.tensor([*prompt_ids, *call_ids]), [turn], 0, template_of(tokenizer).end_id)


def call_length(call: Call, tokenizer: Tokenizer) -> int:
    """Number of tokens that a model generates for a call, including the end token."""
    return len(_call_ids(call, tokenizer)) + 1


def _call_ids(call: Call, tokenizer: Tokenizer) -> list[int]:
    template = template_of(tokenizer)
    return template.encode(template.turn(Message("assistant", format_call(call), is_call=True), call).pieces)


def encode_feedback(feedback: str, tokenizer: Tokenizer) -> list[int]:
    """Ids of the text between a call and the next assistant turn; the feedback in it is cut as by default in
    training data."""
    template = template_of(tokenizer)
    call, output = Message("assistant", "", is_call=True), Message("tool", feedback)
    read = cut_feedback(output, tokenizer, EncodingOptions.max_feedback_tokens)
    return template.encode(template.segments((), (call, read))[-1].pieces)


def encode_trajectory(
    trajectory: Trajectory, tokenizer: Tokenizer, options: EncodingOptions | None = None
) -> Example | None:
    """The training example of a trajectory, or None if not even its first turn fits into ``max_length``.

    Erroneous calls get weight 0 (MAE, section 3.1) unless ``options.mae`` is off; a call that does not parse, and a
    turn with weight 0 in the data, always do. Key tokens get a higher weight (PKT, section 3.2) unless ``options.pkt``
    is off. Raises ValueError for text that is not valid Unicode.
    """
    options = options or EncodingOptions()
    messages = [cut_feedback(m, tokenizer, options.max_feedback_tokens) for m in trajectory.messages]
    categories = iter(call_categories(trajectory))
    names = [tool.name for tool in trajectory.tools]
    template = template_of(tokenizer)
    ids, n_turns = tokenizer.start(), 0
    turns: list[Turn] = []
    for segment in template.segments(trajectory.tools, messages):
        segment_ids = template.encode(segment.pieces)
        start, end = len(ids), len(ids) + len(segment_ids)
        if segment.turn is not None:
            n_turns += 1
            category = next(categories) if segment.turn.is_call else ErrorCategory.ALL_RIGHT
            if end <= options.max_length:
                trained = segment.turn.trained and not (category.is_error and options.mae)
                trained &= segment.call is not None or not segment.turn.is_call
                keys = _name_keys(segment, segment_ids, names, template) if options.pkt else []
                turns.append(Turn(start, end, segment.turn.is_call, category, tuple(keys), trained))
        ids += segment_ids
    if not turns:
        return None
    input_ids = torch.from_numpy(np.array(ids[: turns[-1].end], np.int64))  # torch.tensor reads lists slowly
    return make_example(trajectory.id, input_ids, turns, n_turns - len(turns), template.end_id, options.w_max)


def _name_keys(segment: Segment, ids: Sequence[int], tools: Sequence[str], template: Template) -> list[int]:
    """Key positions in the ``ids`` of a turn; ``tools`` are the names that may be called.

    The other names are tokenised after the same lead: the text before a name in this form or in the data. A token that
    lies within the lead is never key, because it does not tell tools apart.
    """
    if segment.call is None:
        return []
    first = _first_with_text(ids, template, segment.lead)
    # By name, not by ids: within the call, a final "_" may form one token with what follows.
    others = [_name_ids(other, template, segment.lead) for other in tools if other != segment.call.name]
    return [first + position for position in key_positions(ids[first:], others)]


def name_ids(name: str, tokenizer: Tokenizer) -> list[int]:
    """Ids of a tool's name in a call, from the first piece that contains text of the name.

    In some vocabularies many names begin with a bare word mark ``▁``. It does not tell tools apart, so it is left out:
    it is neither a shared beginning of names nor a key token.
    """
    template = template_of(tokenizer)
    return list(_name_ids(name, template, template.lead))


@lru_cache(maxsize=2**14)  # every call needs the names of all its tools
def _name_ids(name: str, template: Template, lead: Pieces) -> tuple[int, ...]:
    ids = template.encode((*lead, template.spell(name)))
    return tuple(ids[_first_with_text(ids, template, lead) :])


def _first_with_text(ids: Sequence[int], template: Template, lead: Sequence[str]) -> int:
    """Position of a call's first token that contains text after the ``lead``."""
    text = list(takewhile(template.is_text, reversed(lead)))  # of the lead after its last control token
    start, before = len(template.encode(lead[: len(lead) - len(text)])), sum(map(len, text))
    decode = template.tokenizer.decode
    return next(k for k in range(start, len(ids)) if len(decode(list(ids[start : k + 1]))) > before)


def make_example(
    id: str,
    input_ids: Tensor,
    turns: Sequence[Turn],
    turns_cut: int,
    end_id: int,
    w_max: float = EncodingOptions.w_max,
) -> Example:
    """The example of these tokens, int64 [T], and turns. The last token of every turn predicts ``end_id``."""
    targets = torch.full_like(input_ids, NO_TARGET)
    weights = torch.zeros(len(input_ids))
    turn_index = torch.full_like(input_ids, -1)
    for number, turn in enumerate(turns):
        predicting = slice(turn.start - 1, turn.end)
        targets[turn.start - 1 : turn.end - 1] = input_ids[turn.start : turn.end]
        targets[turn.end - 1] = end_id
        turn_index[predicting] = number
        if turn.trained:
            weights[predicting] = call_weights(turn.end - turn.start + 1, turn.key_positions, w_max)
    return Example(id, input_ids, targets, weights, turn_index, tuple(turns), turns_cut)


def cut_feedback(message: Message, tokenizer: Tokenizer, max_tokens: int) -> Message:
    """The message. If it is feedback of more than ``max_tokens`` tokens, it is cut in the middle, with a mark."""
    if message.role != "tool" or len(message.content.encode(errors="replace")) <= max_tokens:
        return message  # every token stands for at least one byte
    ids = tokenizer.encode(message.content)
    if len(ids) <= max_tokens:
        return message
    half = max_tokens // 2
    head, tail = (tokenizer.decode(part).strip("\ufffd") for part in (ids[:half], ids[-half:]))
    return replace(message, content=f"{head} … [{len(ids) - 2 * half} tokens cut] … {tail}")
