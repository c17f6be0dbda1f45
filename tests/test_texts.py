"""Texts without a prompt format: stop strings, the space that a continuation begins with, the likelihood of a text."""

import pytest
import torch
from checkpoints import with_large_weights

import tl.llama.texts
from tl.assets import TINY
from tl.llama import Llama, ModelConfig, Tokenizer, generate
from tl.llama.sampling import Sampler
from tl.llama.texts import continuation_logprobs, encode_text, write_on


@pytest.fixture(scope="module")
def tokenizer(small_tokenizer):
    return small_tokenizer


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(1)
    return with_large_weights(Llama(ModelConfig(tokenizer.vocab_size, 32, 48, 2, 4, 2, 8, 256)).double())


PROMPTS = ["System: cats", 'search_news(query="', "User:", "Assistant: finish"]


@pytest.mark.parametrize("text", [" A", "A", "    return 1\n", "\n  x", "", " "])
def test_a_continuation_keeps_the_space_that_it_begins_with(tokenizer, text):
    before = tokenizer.encode("Answer:")
    ids = tokenizer.encode("Answer:" + text)
    assert ids[: len(before)] == before and tokenizer.continuation(ids[len(before) :]) == text


def test_decoding_the_same_ids_as_a_text_of_their_own_loses_that_space(tokenizer):
    ids = tokenizer.encode("Answer: A")[len(tokenizer.encode("Answer:")) :]
    assert (tokenizer.decode(ids), tokenizer.continuation(ids)) == ("A", " A")


def test_a_text_ends_before_the_first_stop_string(model, tokenizer):
    whole = write_on(model, tokenizer, PROMPTS, 40)
    assert all(len(w.text) > 8 for w in whole)
    stops = [whole[0].text[5:8], whole[1].text[4:6], "never written by anybody"]
    for full, cut in zip(whole, write_on(model, tokenizer, PROMPTS, 40, stops), strict=True):
        places = [full.text.find(stop) for stop in stops if stop in full.text]
        assert cut.text == (full.text[: min(places)] if places else full.text)
        assert cut.cut == (full.cut and not places)


def test_a_stop_string_within_a_token_ends_the_text_too(model, tokenizer):
    (whole,) = write_on(model, tokenizer, PROMPTS[:1], 40)
    ids = generate(model, [encode_text(tokenizer, PROMPTS[0])], 40)[0]
    piece = next(tokenizer.continuation([i]) for i in ids if len(tokenizer.continuation([i]).strip()) > 2)
    (cut,) = write_on(model, tokenizer, PROMPTS[:1], 40, [piece[1:]])
    assert cut.text == whole.text[: whole.text.index(piece[1:])] and not cut.cut


def test_a_prompt_that_holds_a_stop_string_is_continued_all_the_same(model, tokenizer):
    assert write_on(model, tokenizer, ["Question: 1\nAnswer:"], 8, ["Question:"])[0].text


def test_the_sampler_draws_no_token_after_the_end(model, tokenizer):
    ids = [encode_text(tokenizer, prompt) for prompt in PROMPTS]
    ended = Sampler(model, 2).complete(ids, 40, ends=lambda drawn: len(drawn) == 3)
    assert [len(completion.ids) for completion in ended] == [3] * 4


@torch.no_grad()
def by_definition(model, tokenizer, context, continuation):
    """log p by one full forward of the whole text."""
    start, ids = len(encode_text(tokenizer, context)), encode_text(tokenizer, context + continuation)
    logprobs = model(torch.tensor([ids]))[0].float().log_softmax(-1)
    return sum(logprobs[at - 1, ids[at]].item() for at in range(start, len(ids)))


@pytest.mark.parametrize("pack", [64, 4096])
def test_likelihoods_of_continuations_are_those_of_their_tokens_in_context(model, tokenizer, pack, monkeypatch):
    monkeypatch.setattr(tl.llama.texts, "MAX_PACK", pack)
    shared = "System: search_news(query=1, limit=3) finish(answer=2) " * 2
    contexts = [shared + "Answer:", shared + "User: a", "Output:", shared + "Answer:"]
    choices = [[" A", " B", " finish(answer=1)"], [" c"], [" cats", " dogs and cats"], [" D"]]
    expected = [
        [by_definition(model, tokenizer, context, choice) for choice in each]
        for context, each in zip(contexts, choices, strict=True)
    ]
    found = continuation_logprobs(model, tokenizer, contexts, choices)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


def test_four_letters_take_one_forward_of_their_context(model, tokenizer):
    seen = []
    hook = model.register_forward_hook(lambda module, args, output: seen.append(args[0].numel()))
    try:
        continuation_logprobs(model, tokenizer, ["Answer:"], [[" A", " B", " C", " D"]])
    finally:
        hook.remove()
    assert seen == [len(encode_text(tokenizer, "Answer: A")) - 1]  # the last token is only predicted


def test_a_text_that_is_longer_than_the_context_is_refused(model, tokenizer):
    with pytest.raises(ValueError, match="this model takes 256"):
        continuation_logprobs(model, tokenizer, ["a " * 400], [["b"]])


def test_the_embedded_vocabulary_does_the_same():
    tokenizer = Tokenizer(TINY)
    before, ids = tokenizer.encode("def f():"), tokenizer.encode("def f():\n    return 1\n")
    assert tokenizer.continuation(ids[len(before) :]) == "\n    return 1\n"
