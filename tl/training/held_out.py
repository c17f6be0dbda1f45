"""Predicting one call at a time while training: held-out questions, the model's greedy calls, and their scores.

The model is asked and scored as `evaluate.py` does it; what is here besides is the loss on the accepted calls.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor
from tqdm import tqdm

from tl.calls import format_call
from tl.evaluation.suites import strict_score
from tl.llama.model import Llama
from tl.llama.tokenizer import Tokenizer
from tl.losses import weighted_cross_entropy
from tl.metrics import CallScore, Question, read_questions
from tl.prompt import EncodingOptions, encode_call, encode_prompt
from tl.rollout.dialogue import Response, ask, prediction_of
from tl.rollout.policy import LlamaPolicy
from tl.synthesis import held_out
from tl.training.batching import collate, pack, target_nll
from tl.training.distributed import World, gather_objects, propagate_errors, unsharded

MAX_NEW_TOKENS = 256  # a call that does not end within these is wrong, unless others are asked for
CACHED_TOKENS = 32_768  # of all calls that are made at a time; 16 GiB of keys and values in a 7B model
MAX_ROWS = 16  # calls made at a time


def load_held_out(
    data: Sequence[str],
    eval_data: Sequence[str],
    tokenizer: Tokenizer,
    options: EncodingOptions,
    on_bad: Literal["error", "skip"] = "error",
) -> list[Question]:
    """What a run on ``data`` is evaluated on: the calls in ``eval_data`` or, when neither is given, the tool library's
    held-out questions. A warning counts those that are too long."""
    questions: list[Question] = []
    if eval_data:
        questions = read_questions(eval_data, on_bad)
    elif not data:
        questions = held_out()
    fitting = tokenise(questions, tokenizer, options)
    if len(fitting) < len(questions):
        left_out = len(questions) - len(fitting)
        warnings.warn(f"{left_out} of {len(questions)} held-out requests are too long", stacklevel=2)
    return fitting


def tokenise(questions: Iterable[Question], tokenizer: Tokenizer, options: EncodingOptions) -> list[Question]:
    """The questions with their prompts; without those that do not fit into ``options.max_length`` tokens together with
    the first accepted call."""
    fitting = []
    for question in questions:
        prompt_ids = encode_prompt(question.tools, question.messages, tokenizer, options.max_feedback_tokens)
        if len(prompt_ids) + len(tokenizer.encode(format_call(question.golden[0]))) <= options.max_length:
            fitting.append(replace(question, prompt_ids=prompt_ids))
    return fitting


def predict(
    model: Llama,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    max_new_tokens: int = MAX_NEW_TOKENS,
    bar: bool = False,
) -> list[str]:
    """The model's greedy call for each question, as text; empty where it did not come to its end. ``bar``: show it."""
    rows, _ = cache_size(questions, max_new_tokens)
    with tqdm(total=len(questions), desc="held-out requests", unit="", leave=False, disable=not bar) as shown:
        turns = ask(questions, LlamaPolicy(model, tokenizer, rows, max_new_tokens, answered=shown.update))
    return ["" if turn.note else "".join(turn.texts) for turn in turns]


def predict_in_parts(
    model: Llama,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    world: World,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> list[str]:
    """As ``predict``, each rank for a part of the questions; every rank has all calls then. All ranks must call it."""
    mine = questions[world.rank :: world.size]
    with unsharded(model) as plain, propagate_errors(world):
        texts = predict(plain, tokenizer, mine, max_new_tokens, bar=world.is_main) if mine else []
    parts = gather_objects(texts, world)
    return [parts[i % world.size][i // world.size] for i in range(len(questions))]


def cache_size(questions: Sequence[Question], max_new_tokens: int) -> tuple[int, int]:
    """How many questions are worked on at a time, fewer the longer they are; tokens of the longest with its call."""
    longest = max((len(question.prompt_ids) for question in questions), default=0) + max_new_tokens
    return min(len(questions), MAX_ROWS, max(1, CACHED_TOKENS // longest)), longest


@torch.no_grad()
def golden_loss(model: Llama, tokenizer: Tokenizer, questions: Sequence[Question], micro_tokens: int) -> Tensor:
    """Mean over the questions of their accepted call's mean −log p per token, a scalar."""
    examples = [encode_call(q.id, q.prompt_ids, q.golden[0], tokenizer) for q in questions]
    losses = []
    for group in pack(examples, micro_tokens):
        micro = collate(group)
        nll = target_nll(model, micro.to(model.lm_head.weight.device))
        losses.append(weighted_cross_entropy(nll.cpu(), micro.weights, micro.turn_index, total=len(questions)))
    return torch.stack(losses).sum()


def score(questions: Sequence[Question], predictions: Sequence[str]) -> list[CallScore]:
    """TS, PI and CF of each predicted call."""
    return [
        strict_score(question, prediction_of(Response((text,))))
        for question, text in zip(questions, predictions, strict=True)
    ]


def percentages(scores: Sequence[CallScore]) -> dict[str, float]:
    """TS, PI and CF in percent."""
    return {name: 100 * sum(getattr(s, name) for s in scores) / max(len(scores), 1) for name in CallScore._fields}
