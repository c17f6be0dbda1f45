"""Held-out calls while training: asked and scored as evaluate.py does it, with memory that does not grow."""

from types import SimpleNamespace

import pytest
import torch

from tl.assets import TINY
from tl.calls import format_call
from tl.evaluation.suites import strict_score
from tl.llama.tokenizer import Tokenizer
from tl.llama.weights import load_model
from tl.metrics import Item
from tl.prompt import EncodingOptions
from tl.rollout.dialogue import ask, prediction_of
from tl.rollout.policy import LlamaPolicy
from tl.synthesis import held_out
from tl.training.held_out import (
    CACHED_TOKENS,
    MAX_NEW_TOKENS,
    MAX_ROWS,
    cache_size,
    load_held_out,
    predict,
    prepare,
    score,
)
from tl.trajectory import Message

CUT = 64  # tokens of feedback


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(TINY)


@pytest.fixture(scope="module")
def model():
    return load_model(TINY, torch.float32, "cpu").eval()


@pytest.fixture(scope="module")
def items():
    long = Message("tool", '{"note": "' + "all is well " * 400 + '"}')
    after_feedback = next(item for item in held_out(20) if len(item.messages) > 1)
    messages = [long if message.role == "tool" else message for message in after_feedback.messages]
    cut = Item("long feedback", after_feedback.tools, tuple(messages), after_feedback.answers)
    return [*held_out(3), cut]


def test_the_model_reads_the_same_prompt_here_in_training_and_in_evaluate(model, tokenizer, items, monkeypatch):
    """Long feedback is cut alike for the loss on the golden call, and for the prompt that is continued."""
    read = []

    def complete(sampler, prompts, *_, **__):
        read.extend(prompts)
        return original(sampler, prompts, 1)

    original = type(LlamaPolicy(model, tokenizer, 1, 1).sampler).complete
    monkeypatch.setattr("tl.llama.sampling.Sampler.complete", complete)
    prepared = prepare(items, tokenizer, EncodingOptions(max_feedback_tokens=CUT))
    predict(model, tokenizer, prepared, CUT)
    assert read == [p.example.input_ids[: p.prompt_tokens].tolist() for p in prepared]
    assert "all is well" in tokenizer.decode(read[-1]) and len(read[-1]) < 2000


def test_predictions_and_scores_are_those_of_evaluate(model, tokenizer, items):
    prepared = prepare(items, tokenizer, EncodingOptions())
    turns = ask([p.question for p in prepared], LlamaPolicy(model, tokenizer, 32, 12))
    there = [strict_score(p.question, prediction_of(turn)) for p, turn in zip(prepared, turns, strict=True)]
    assert score(prepared, predict(model, tokenizer, prepared, max_new_tokens=12)) == there


def test_a_golden_call_scores_full_and_a_call_without_end_nothing(tokenizer, items):
    prepared = prepare(items, tokenizer, EncodingOptions())
    assert all(map(all, score(prepared, [format_call(item.answers[0]) for item in items])))
    assert not any(map(any, score(prepared, [""] * len(items))))


@pytest.mark.parametrize("length", [1, 500, 2000, 8000, 100_000])
def test_the_longer_the_prompts_the_fewer_at_a_time(length):
    items = [SimpleNamespace(prompt_tokens=n) for n in (*[1] * 20, length)]
    rows, longest = cache_size(items, MAX_NEW_TOKENS)
    assert 1 <= rows <= MAX_ROWS and longest == length + MAX_NEW_TOKENS
    assert rows == 1 or rows * longest <= CACHED_TOKENS


def test_no_more_rows_than_items():
    assert cache_size([SimpleNamespace(prompt_tokens=7)], 3) == (1, 10)
    assert cache_size([], 3)[0] == 0


def test_held_out_requests_that_are_too_long_are_counted_and_own_data_brings_its_own(tokenizer):
    options = EncodingOptions(max_length=480)
    with pytest.warns(UserWarning, match="of 400 held-out requests are too long") as warned:
        prepared = load_held_out([], [], tokenizer, options)
    assert f"{400 - len(prepared)} of 400" in str(warned[0].message) and prepared
    assert load_held_out(["mine.jsonl"], [], tokenizer, options) == []
