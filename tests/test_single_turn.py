"""Held-out calls while training: asked and scored as evaluate.py does it, with memory that does not grow."""

from dataclasses import replace

import pytest
import torch

from tl.assets import TINY
from tl.calls import format_call
from tl.evaluation.suites import strict_score
from tl.llama import Tokenizer, load_model
from tl.llama.sampling import CACHED_TOKENS, MAX_ROWS, cache_size, rows_at_a_time
from tl.losses import weighted_cross_entropy
from tl.metrics import Question
from tl.prompt import EncodingOptions, encode_trajectory
from tl.rollout.dialogue import ask, prediction_of
from tl.rollout.policy import LlamaPolicy
from tl.synthesis import held_out
from tl.training.batching import collate, target_nll
from tl.training.config import SFTConfig
from tl.training.held_out import (
    MAX_NEW_TOKENS,
    golden_loss,
    load_held_out,
    longest,
    predict,
    score,
    tokenise,
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
def questions():
    long = Message("tool", '{"note": "' + "all is well " * 400 + '"}')
    after_feedback = next(question for question in held_out(20) if len(question.messages) > 1)
    messages = [long if message.role == "tool" else message for message in after_feedback.messages]
    cut = replace(after_feedback, id="long feedback", messages=tuple(messages))
    return [*held_out(3), cut]


def test_the_model_reads_the_same_prompt_here_in_training_and_in_evaluate(model, tokenizer, questions, monkeypatch):
    """Long feedback is cut alike for the loss on the golden call, and for the prompt that is continued."""
    read = []

    def complete(sampler, prompts, *_, **__):
        read.extend(prompts)
        return original(sampler, prompts, 1)

    original = type(LlamaPolicy(model, tokenizer, 1, 1).sampler).complete
    monkeypatch.setattr("tl.llama.sampling.Sampler.complete", complete)
    options = EncodingOptions(max_feedback_tokens=CUT)
    predict(model, tokenizer, tokenise(questions, tokenizer, max_feedback_tokens=CUT))
    trained = [encode_trajectory(question.solved(), tokenizer, options) for question in questions]
    assert read == [example.input_ids[: example.turns[-1].start].tolist() for example in trained]
    assert "all is well" in tokenizer.decode(read[-1]) and len(read[-1]) < 2000


def test_the_loss_is_that_of_the_golden_call_in_its_trajectory(model, tokenizer, questions):
    def last_turn_alone(example):
        return replace(example, weights=(example.turn_index == len(example.turns) - 1).float())

    micro = collate([last_turn_alone(encode_trajectory(question.solved(), tokenizer)) for question in questions])
    expected = weighted_cross_entropy(target_nll(model, micro), micro.weights, micro.turn_index, total=1)
    asked = tokenise(questions, tokenizer)
    assert golden_loss(model, tokenizer, asked, micro_tokens=2**20) == expected
    assert golden_loss(model, tokenizer, asked, micro_tokens=1) == pytest.approx(expected.item())
    assert golden_loss(model, tokenizer, [], micro_tokens=1) == 0


def test_a_prompt_is_tokenised_once_however_often_it_is_asked(model, tokenizer, questions, monkeypatch):
    asked = tokenise(questions, tokenizer)
    monkeypatch.setattr(tokenizer, "encode", None)
    assert predict(model, tokenizer, asked, max_new_tokens=2) == predict(model, tokenizer, asked, max_new_tokens=2)


def test_predictions_and_scores_are_those_of_evaluate(model, tokenizer, questions):
    there = ask(questions, LlamaPolicy(model, tokenizer, 32, 12))
    scores = [strict_score(q, prediction_of(turn)) for q, turn in zip(questions, there, strict=True)]
    asked = tokenise(questions, tokenizer)
    assert score(asked, predict(model, tokenizer, asked, max_new_tokens=12)) == scores


def test_a_golden_call_scores_full_and_a_call_without_end_nothing(questions):
    assert all(map(all, score(questions, [format_call(question.golden[0]) for question in questions])))
    assert not any(map(any, score(questions, [""] * len(questions))))


def of_length(n: int) -> Question:
    return Question("", (), (), (), prompt_ids=[1] * n)


@pytest.mark.parametrize("length", [1, 500, 2000, 8000, 100_000])
def test_the_longer_the_prompts_the_fewer_at_a_time(length):
    tokens = longest([of_length(n) for n in (*[1] * 20, length)], MAX_NEW_TOKENS)
    rows = rows_at_a_time(MAX_ROWS, tokens)
    assert 1 <= rows <= MAX_ROWS and tokens == length + MAX_NEW_TOKENS
    assert rows == 1 or rows * tokens <= CACHED_TOKENS


def test_no_more_rows_than_questions():
    assert longest([of_length(7)], 3) == 10 and rows_at_a_time(1, 10) == 1
    assert longest([], 3) == 3 and rows_at_a_time(0, 3) == 0
    assert [rows_at_a_time(16, tokens) for tokens in (10, 2048, 4096, 20_000, 40_000)] == [16, 16, 8, 1, 1]


def test_the_cache_is_as_large_as_the_most_rows_that_fit_whatever_is_longest():
    """Capacities are multiples of 128: 16 rows of 128, 7 of 4,608, 3 of 8,704, 1 of 16,384."""
    assert [cache_size(16, [n]) for n in (1, 4500, 8704, 16_384)] == [16 * 128, 7 * 4608, 3 * 8704, 2 * 16_384]
    assert cache_size(16, range(1, 16_385)) == CACHED_TOKENS
    assert cache_size(32, [4608]) == 7 * 4608 and cache_size(1, [40_000]) == 40_064


def test_held_out_requests_that_are_too_long_are_counted_and_own_data_brings_its_own(tokenizer):
    with pytest.warns(UserWarning, match="of 400 held-out requests that are too long") as warned:
        fitting = load_held_out(SFTConfig(), tokenizer, 480)
    assert f"{400 - len(fitting)} of 400" in str(warned[0].message) and fitting
    assert load_held_out(SFTConfig(data=["mine.jsonl"]), tokenizer, 480) == []
