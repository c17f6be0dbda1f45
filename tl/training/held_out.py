"""Evaluation during training: greedy calls on held-out questions, their scores, and the loss on the accepted calls.

Prompts and scores are those of `evaluate.py`, but the length limits are those of the training, and prompts that are too
long are skipped instead of counted as wrong.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from tqdm import tqdm

from tl.datasets.questions import read_questions
from tl.evaluation.suites import strict_score
from tl.llama.model import Llama
from tl.llama.sampling import MAX_ROWS, cache_size
from tl.llama.tokenizer import Tokenizer
from tl.losses import weighted_cross_entropy
from tl.metrics import CallScore, Question
from tl.prompt import EncodingOptions, encode_call, encode_prompt
from tl.rollout.dialogue import Response, ask, prediction_of
from tl.rollout.policy import LlamaPolicy
from tl.synthesis import held_out
from tl.training.batching import collate, pack, target_nll
from tl.training.config import TrainingConfig
from tl.training.distributed import World, gather_objects, propagate_errors, unsharded

MAX_NEW_TOKENS = 256  # default token limit; a call that does not end within it is wrong


def load_held_out(
    config: TrainingConfig,
    tokenizer: Tokenizer,
    limit: int,
    max_feedback_tokens: int = EncodingOptions.max_feedback_tokens,
) -> list[Question]:
    """The questions that a run is evaluated on: the calls in its ``eval_data`` or, if it has no data files at all, the
    tool library's held-out questions. Skips those that are too long (see ``tokenise``), with a warning."""
    questions: list[Question] = []
    if config.eval_data:
        questions = read_questions(config.eval_data, config.on_bad_data, config.data_format)
    elif not config.data:
        questions = held_out()
    fitting = tokenise(questions, tokenizer, limit, max_feedback_tokens)
    if len(fitting) < len(questions):
        left_out = len(questions) - len(fitting)
        warnings.warn(f"skipped {left_out} of {len(questions)} held-out requests that are too long", stacklevel=2)
    return fitting


def tokenise(
    questions: Iterable[Question],
    tokenizer: Tokenizer,
    limit: int = EncodingOptions.max_length,
    max_feedback_tokens: int = EncodingOptions.max_feedback_tokens,
) -> list[Question]:
    """The questions with their tokenised prompts, without those whose prompt and first accepted call together have more
    than ``limit`` tokens."""
    fitting = []
    for question in questions:
        prompt_ids = encode_prompt(question.tools, question.messages, tokenizer, max_feedback_tokens)
        if len(encode_call(question.id, prompt_ids, question.golden[0], tokenizer)) <= limit:
            fitting.append(replace(question, prompt_ids=prompt_ids))
    return fitting


def predict(
    model: Llama,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    max_new_tokens: int = MAX_NEW_TOKENS,
    bar: bool = False,
) -> list[str]:
    """The model's greedy call for each question, as text; empty if it did not end. ``bar`` shows a progress bar."""
    rows = min(len(questions), MAX_ROWS)
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
    """Like ``predict``, with the questions split over the ranks; every rank gets all calls. All ranks must call it."""
    mine = questions[world.rank :: world.size]
    with unsharded(model, world) as plain, propagate_errors(world):
        texts = predict(plain, tokenizer, mine, max_new_tokens, bar=world.is_main) if mine else []
    parts = gather_objects(texts, world)
    return [parts[i % world.size][i // world.size] for i in range(len(questions))]


def held_out_line(questions: Sequence[Question]) -> str:
    """What the run is evaluated on, as a line of text."""
    count = f"{len(questions):,}" if questions else "none (--eval_data names them)"
    return f"held-out requests   {count}"


def cached_tokens(questions: Sequence[Question], max_new_tokens: int, ranks: int = 1) -> int:
    """Size in tokens of the largest KV cache of a rank in ``predict_in_parts``."""
    shares = [questions[rank::ranks] for rank in range(ranks)]
    return max(cache_size(min(len(mine), MAX_ROWS), [longest(mine, max_new_tokens)]) for mine in shares)


def longest(questions: Sequence[Question], max_new_tokens: int) -> int:
    """Tokens of the longest prompt plus ``max_new_tokens``."""
    return max((len(question.prompt_ids) for question in questions), default=0) + max_new_tokens


@torch.no_grad()
def golden_loss(model: Llama, tokenizer: Tokenizer, questions: Sequence[Question], micro_tokens: int) -> float:
    """Sum over the questions of the mean −log p per token of their first accepted call."""
    examples = [encode_call(q.id, q.prompt_ids, q.golden[0], tokenizer) for q in questions]
    loss = 0.0
    for group in pack(examples, micro_tokens):
        micro = collate(group)
        nll = target_nll(model, micro.to(model.lm_head.weight.device))
        loss += weighted_cross_entropy(nll.cpu(), micro.weights, micro.turn_index, total=1).item()
    return loss


def score(questions: Sequence[Question], predictions: Sequence[str]) -> list[CallScore]:
    """TS, PI and CF of each predicted call."""
    return [
        strict_score(question, prediction_of(Response((text,))))
        for question, text in zip(questions, predictions, strict=True)
    ]


def percentages(scores: Sequence[CallScore]) -> dict[str, float]:
    """TS, PI and CF in percent."""
    return {name: 100 * sum(getattr(s, name) for s in scores) / max(len(scores), 1) for name in CallScore._fields}
