"""Predicting one call at a time while training: held-out requests, the model's greedy calls, and their scores.

The model is asked and scored as `evaluate.py` does it; what is here besides is the loss on the accepted calls.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from tqdm import tqdm

from tl.calls import format_call
from tl.evaluation.suites import strict_score
from tl.evaluation.suites.own import load_items
from tl.llama.model import Llama
from tl.llama.tokenizer import Tokenizer
from tl.losses import weighted_cross_entropy
from tl.metrics import CallScore, Item, Question
from tl.prompt import EncodingOptions, Example, encode_trajectory
from tl.rollout.dialogue import Response, ask, prediction_of
from tl.rollout.policy import LlamaPolicy
from tl.training.batching import collate, pack, target_nll
from tl.trajectory import Message, Trajectory

MAX_NEW_TOKENS = 256  # a call that does not end within these is wrong, unless others are asked for
CACHED_TOKENS = 32_768  # of all calls that are made at a time; 16 GiB of keys and values in a 7B model
MAX_ROWS = 16  # calls made at a time


@dataclass(frozen=True)
class Prepared:
    """A tokenised item: ``example`` ends in the first accepted call, the only turn that has weight."""

    item: Item
    example: Example

    @property
    def question(self) -> Question:
        item = self.item
        return Question(item.id, item.tools, item.messages, tuple((answer,) for answer in item.answers))

    @property
    def prompt_tokens(self) -> int:
        return self.example.turns[-1].start


def prepare(items: Iterable[Item], tokenizer: Tokenizer, options: EncodingOptions) -> list[Prepared]:
    """Tokenises items as training data is; those that do not fit into ``options.max_length`` tokens are left out."""
    prepared = []
    for item in items:
        golden = Message("assistant", format_call(item.answers[0]), is_call=True)
        example = encode_trajectory(Trajectory(item.id, item.tools, (*item.messages, golden)), tokenizer, options)
        if example is not None and not example.turns_cut:
            only_last = example.turn_index == len(example.turns) - 1
            prepared.append(Prepared(item, replace(example, weights=only_last.float())))
    return prepared


def predict(
    model: Llama,
    tokenizer: Tokenizer,
    prepared: Sequence[Prepared],
    max_feedback_tokens: int = EncodingOptions.max_feedback_tokens,
    max_new_tokens: int = MAX_NEW_TOKENS,
    bar: bool = False,
) -> list[str]:
    """The model's greedy call for each item, as text; empty where it did not come to its end. ``bar``: show it."""
    rows, _ = cache_size(prepared, max_new_tokens)
    with tqdm(total=len(prepared), desc="held-out requests", unit="", leave=False, disable=not bar) as shown:
        policy = LlamaPolicy(model, tokenizer, rows, max_new_tokens, max_feedback_tokens, answered=shown.update)
        turns = ask([p.question for p in prepared], policy)
    return ["" if turn.note else "".join(turn.texts) for turn in turns]


def cache_size(prepared: Sequence[Prepared], max_new_tokens: int) -> tuple[int, int]:
    """How many items are worked on at a time, fewer the longer they are; tokens of the longest, its call included."""
    longest = max((p.prompt_tokens for p in prepared), default=0) + max_new_tokens
    return min(len(prepared), MAX_ROWS, max(1, CACHED_TOKENS // longest)), longest


@torch.no_grad()
def golden_loss(model: Llama, prepared: Sequence[Prepared], micro_tokens: int) -> Tensor:
    """Mean over the items of their accepted call's mean −log p per token, a scalar."""
    losses = []
    for group in pack([p.example for p in prepared], micro_tokens):
        micro = collate(group)
        nll = target_nll(model, micro.to(model.lm_head.weight.device))
        losses.append(weighted_cross_entropy(nll.cpu(), micro.weights, micro.turn_index, total=len(prepared)))
    return torch.stack(losses).sum()


def score(prepared: Sequence[Prepared], predictions: Sequence[str]) -> list[CallScore]:
    """TS, PI and CF of each predicted call."""
    return [
        strict_score(p.question, prediction_of(Response((text,))))
        for p, text in zip(prepared, predictions, strict=True)
    ]


def percentages(scores: Sequence[CallScore]) -> dict[str, float]:
    """TS, PI and CF in percent."""
    return {name: 100 * sum(getattr(s, name) for s in scores) / max(len(scores), 1) for name in CallScore._fields}


def load_held_out(
    data: Sequence[str],
    eval_data: Sequence[str],
    tokenizer: Tokenizer,
    options: EncodingOptions,
    on_bad: Literal["error", "skip"] = "error",
) -> list[Prepared]:
    """What a run on ``data`` is evaluated on: the calls in ``eval_data`` or, when neither is given, the tool library's
    held-out requests. A warning counts those that are too long."""
    items = [] if data and not eval_data else load_items(eval_data, on_bad)
    prepared = prepare(items, tokenizer, options)
    if len(prepared) < len(items):
        left_out = len(items) - len(prepared)
        warnings.warn(f"{left_out} of {len(items)} held-out requests are too long", stacklevel=2)
    return prepared
