"""Generation: the batched sampler with its cache, against a slow reference that reads all text for every token."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import checkpoints
import pytest
import torch
from checkpoints import with_large_weights

import tl.llama.sampling
from tl.llama import Llama, generate
from tl.llama.cache import BLOCK
from tl.llama.sampling import Sampler, sample
from tl.training.distributed import World, shard, unsharded

EOS = 2
CONFIG = replace(checkpoints.CONFIG, vocab_size=64, max_position_embeddings=256)


def random_model() -> Llama:
    """Weights so large that the next token depends on all before it; float64, so that rounding decides nothing."""
    torch.manual_seed(0)
    return with_large_weights(Llama(CONFIG).double())


@pytest.fixture(scope="module")
def model() -> Llama:
    return random_model()


def random_ids(n: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(3, CONFIG.vocab_size) for _ in range(n)]


RAGGED = [random_ids(n, seed=n) for n in (1, 40, 7, 23, 64, 2, 11)]
DOCUMENTATION = random_ids(50, seed=99)
SHARED = [DOCUMENTATION + random_ids(n, seed=n) for n in (3, 30, 1, 8)]
MIXED = RAGGED + SHARED + [SHARED[1]]
SHARE_OF_RANK = [MIXED, MIXED[:1]]


@torch.no_grad()
def reference(model: Llama, prompt: list[int], max_new_tokens: int) -> list[int]:
    """Greedy decoding by definition: one text, a full forward for each token."""
    ids = list(prompt)
    while len(ids) < len(prompt) + max_new_tokens:
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
        if ids[-1] == EOS:
            break
    return ids[len(prompt) :]


@torch.no_grad()
def reference_logprobs(model: Llama, prompt: list[int], ids: list[int], temperature: float) -> torch.Tensor:
    logits = model(torch.tensor([prompt + ids]))[0, len(prompt) - 1 : -1]
    return (logits / temperature).log_softmax(-1)[range(len(ids)), ids]


@contextmanager
def forwards(model: Llama) -> Iterator[list[list[int]]]:
    """Collects, for each forward of the model, how many tokens it was fed of each row that it was fed any of."""
    seen: list[list[int]] = []

    def record(module: Llama, args: tuple, kwargs: dict, output: torch.Tensor) -> None:
        seen.append([n for n in kwargs["lengths"] if n])

    hook = model.register_forward_hook(record, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


# ------------------------------------------------------------------------------------------------- greedy, one turn


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_greedy_output_equals_the_slow_reference(
    model: Llama, batch_size: int, share: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not share:
        monkeypatch.setattr(tl.llama.sampling, "MIN_SHARED", 10**9)
    expected = [reference(model, prompt, 20) for prompt in MIXED]
    assert len({tuple(ids) for ids in expected}) > len(MIXED) // 2  # the model is not a constant
    assert any(ids[-1] == EOS for ids in expected) and any(len(ids) == 20 for ids in expected)
    assert generate(model, MIXED, 20, batch_size=batch_size) == expected


def test_the_order_of_the_prompts_changes_nothing_but_the_order(model: Llama) -> None:
    order = random.Random(0).sample(range(len(MIXED)), len(MIXED))
    straight = generate(model, MIXED, 12, batch_size=4)
    assert generate(model, [MIXED[i] for i in order], 12, batch_size=4) == [straight[i] for i in order]


def test_an_output_ends_with_eos_or_was_cut(model: Llama) -> None:
    completions = Sampler(model, 4).complete(MIXED, 20)
    assert {c.stopped for c in completions} == {True, False}
    for completion in completions:
        assert completion.stopped == (completion.ids[-1] == EOS) and EOS not in completion.ids[:-1]
        assert completion.stopped or len(completion.ids) == 20


def test_another_eos_can_be_asked_for(model: Llama) -> None:
    stopped = next(prompt for prompt in MIXED if EOS in generate(model, [prompt], 20)[0])
    assert len(generate(model, [stopped], 20, eos_id=-1)[0]) == 20
    prompt = RAGGED[1]
    unstopped = generate(model, [prompt], 20, eos_id=-1)[0]
    assert len(unstopped) == 20
    stop = unstopped[3]
    assert generate(model, [prompt], 20, eos_id=stop)[0] == unstopped[: unstopped.index(stop) + 1]


def test_generation_is_cut_where_the_positions_of_the_model_end(model: Llama) -> None:
    prompt = random_ids(CONFIG.max_position_embeddings - 3, seed=5)
    assert len(generate(model, [prompt], 20, eos_id=-1)[0]) == 3


def test_a_text_may_outgrow_the_block_of_the_cache_that_its_prompt_fits_into(model: Llama) -> None:
    prompt = random_ids(BLOCK - 3, seed=6)
    assert generate(model, [prompt], 20) == [reference(model, prompt, 20)] and len(reference(model, prompt, 20)) > 4


def test_no_prompts_no_outputs(model: Llama) -> None:
    assert generate(model, [], 20) == []
    assert Sampler(model, 2).complete([], 20) == []


# ------------------------------------------------------------------------------------------ what the model has to read


def test_ragged_prompts_are_read_without_padding_and_each_token_once(model: Llama) -> None:
    with forwards(model) as seen:
        outputs = generate(model, RAGGED, 5)
    assert sorted(seen[0]) == sorted(len(prompt) for prompt in RAGGED)
    # The token drawn last, </s> or the one at the limit, is never read.
    assert sum(map(sum, seen)) == sum(map(len, RAGGED)) + sum(len(ids) - 1 for ids in outputs)


def test_a_common_prefix_is_read_once(model: Llama) -> None:
    with forwards(model) as seen:
        generate(model, SHARED, 1)
    assert len(seen) == 2 and len(seen[0]) == 1  # one prompt reads the documentation, the others copy it
    assert sum(map(sum, seen)) == len(DOCUMENTATION) + sum(len(p) - len(DOCUMENTATION) for p in SHARED)


def test_waiting_prompts_take_the_rows_of_finished_ones(model: Llama) -> None:
    with forwards(model) as seen:
        outputs = generate(model, MIXED, 20, batch_size=3)
    assert max(map(len, seen)) == 3
    drawn = sum(map(len, outputs))
    assert sum(map(len, seen)) == drawn  # every row of every forward drew a token that was wanted
    assert len(seen) <= drawn / 3 + 20  # and all rows were busy, but for the last texts and the shared prefixes


def test_each_prompt_that_is_finished_is_told(model: Llama) -> None:
    told: list[int] = []
    Sampler(model, 2).complete([[1, 2], [3], [4, 5, 6]], 4, finished=lambda: told.append(1))
    assert len(told) == 3


def test_long_prompts_are_read_in_several_forwards(model: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tl.llama.sampling, "MAX_PREFILL", 60)
    with forwards(model) as seen:
        outputs = generate(model, RAGGED, 5)
    of_prompts = [sum(n for n in forward if n > 1) for forward in seen]  # beside rows that read what they have drawn
    assert max(of_prompts) <= max(60, *map(len, RAGGED))
    assert outputs == [reference(model, prompt, 5) for prompt in RAGGED]


# ----------------------------------------------------------------------------------------------------- several turns


def play(
    sampler: Sampler, prompts: Sequence[list[int]], turns: int, drop: Sequence[int] = ()
) -> list[list[tuple[list[int], list[int]]]]:
    """Episodes with made-up feedback: for each, the (history, output) of its turns. ``drop`` end after one turn."""
    histories = [list(p) for p in prompts]
    played: list[list[tuple[list[int], list[int]]]] = [[] for _ in prompts]
    for turn in range(turns):
        live = [i for i in range(len(prompts)) if turn == 0 or i not in drop]
        for i, completion in zip(live, sampler.complete([histories[i] for i in live], 10), strict=True):
            played[i].append((list(histories[i]), completion.ids))
            said = completion.ids[:-1] if completion.stopped else completion.ids
            histories[i] += said + random_ids(4 + i, seed=100 * turn + i)
    return played


@pytest.mark.parametrize("rows", [2, 12, 20])
def test_turns_with_feedback_equal_the_slow_reference(model: Llama, rows: int) -> None:
    """With fewer rows than episodes too, when rows are lost to other texts between the turns."""
    for episode in play(Sampler(model, rows), MIXED, turns=3, drop=[0, 8]):
        for history, ids in episode:
            assert ids == reference(model, history, 10)


def test_long_texts_take_rows_from_one_another(model: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of 512 tokens has 4 rows of up to 128, and 2 of more; short texts get theirs back."""
    monkeypatch.setattr(tl.llama.sampling, "CACHED_TOKENS", 512)
    sampler, shapes = Sampler(model, 20), []
    for prompts in ([*MIXED, random_ids(90, seed=1)], [random_ids(150, seed=2), *SHARED], MIXED):
        assert [c.ids for c in sampler.complete(prompts, 10)] == [reference(model, prompt, 10) for prompt in prompts]
        shapes.append((len(sampler.held), sampler.cache.capacity))
    assert shapes == [(4, 128), (2, 256), (4, 128)]


def test_texts_that_have_room_leave_the_others_theirs(model: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long and a short conversation take turns: the short one would get more rows, which it does not need."""
    monkeypatch.setattr(tl.llama.sampling, "CACHED_TOKENS", 512)
    sampler, texts = Sampler(model, 20, eos_id=-1), [random_ids(120, seed=1), random_ids(60, seed=2)]
    with forwards(model) as seen:
        for turn in range(4):
            for i, text in enumerate(texts):
                texts[i] = text + sampler.complete([text], 10)[0].ids + [3 + turn]
    # The last token drawn and the one after it are not read in the last turn.
    assert sum(map(sum, seen)) == sum(map(len, texts)) - 2 * 2


def test_a_turn_reads_only_what_is_new(model: Llama) -> None:
    sampler, prompts = Sampler(model, 4), [random_ids(n, seed=n) for n in (40, 55, 70, 33)]
    with forwards(model) as seen:
        played = play(sampler, prompts, turns=3)
    last_history, last_ids = zip(*(episode[-1] for episode in played), strict=True)
    # All of the last history, and all of the last output but its last token, was read exactly once.
    assert sum(map(sum, seen)) == sum(map(len, last_history)) + sum(len(ids) - 1 for ids in last_ids)


def test_a_new_prompt_does_not_take_the_row_that_another_one_continues(model: Llama) -> None:
    """Of the two rows, the new prompt has to take that of the episode that has ended, though it holds more."""
    ended, kept, new = [5, *random_ids(60, seed=1)], [4, *random_ids(40, seed=2)], [3, *random_ids(30, seed=3)]
    sampler = Sampler(model, 2, eos_id=-1)
    said = sampler.complete([ended, kept], 2)[1].ids
    with forwards(model) as seen:
        sampler.complete([kept + said, new], 1)
    assert sorted(seen[0]) == [1, len(new)]  # of what was kept, the token drawn last had not been read


@pytest.mark.parametrize("at", [1, 5])
def test_a_sampler_starts_afresh_after_an_interruption(model: Llama, at: int) -> None:
    sampler = Sampler(model, 3)
    calls = 0

    def interrupt(module: torch.nn.Module, args: tuple) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt

    hook = model.layers[0].register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        sampler.complete(MIXED, 10)
    hook.remove()
    with forwards(model) as seen:
        completions = sampler.complete(MIXED, 10)
    assert [c.ids for c in completions] == [reference(model, prompt, 10) for prompt in MIXED]
    with forwards(model) as expected:
        generate(model, MIXED, 10, batch_size=3)
    assert seen == expected


# --------------------------------------------------------------------------------------------------------- sampling


def test_sampling_inverts_the_cumulative_distribution() -> None:
    uniform = [0.0, 0.124, 0.125, 0.62, 0.63, 0.74, 0.75, 1 - 2**-53]  # cumulative: 0.125, 0.125, 0.625, 0.75, 1
    probabilities = torch.tensor([[0.125, 0.0, 0.5, 0.125, 0.25]]).expand(len(uniform), -1)
    assert sample(probabilities, torch.tensor(uniform, dtype=torch.float64)).tolist() == [0, 0, 2, 2, 3, 3, 4, 4]


def test_a_diverged_model_is_named() -> None:
    probabilities = torch.tensor([[0.5, 0.5], [torch.nan, torch.nan]])
    with pytest.raises(FloatingPointError, match="diverged"):
        sample(probabilities, torch.tensor([0.3, 0.3], dtype=torch.float64))


def test_sampled_tokens_have_the_probabilities_of_the_model(model: Llama) -> None:
    n, temperature, prompt = 2000, 2.0, RAGGED[1]
    drawn = generate(model, [prompt] * n, 1, temperature, batch_size=100, seeds=range(n))
    with torch.no_grad():
        p = (model(torch.tensor([prompt]))[0, -1] / temperature).softmax(-1)
    frequencies = torch.bincount(torch.tensor(drawn)[:, 0], minlength=len(p)) / n
    assert p.max() < 0.9
    assert ((frequencies - p).abs() < 5 * (p * (1 - p) / n).sqrt() + 1 / n).all()


def test_what_a_prompt_draws_depends_on_its_seed_alone(model: Llama) -> None:
    seeds = list(range(len(MIXED)))
    alone = [generate(model, [p], 8, 1.5, seeds=[s])[0] for p, s in zip(MIXED, seeds, strict=True)]
    assert generate(model, MIXED, 8, 1.5, seeds=seeds, batch_size=5) == alone
    assert generate(model, MIXED[::-1], 8, 1.5, seeds=seeds[::-1]) == alone[::-1]
    assert generate(model, MIXED, 8, 1.5, seeds=seeds[::-1]) != alone


def test_without_seeds_the_generator_of_torch_decides(model: Llama) -> None:
    torch.manual_seed(3)
    first = generate(model, MIXED, 8, 1.5)
    assert generate(model, MIXED, 8, 1.5) != first
    torch.manual_seed(3)
    assert generate(model, MIXED, 8, 1.5) == first
    assert len(set(map(tuple, generate(model, [RAGGED[0]] * 200, 3, 5.0)))) > 150


def test_greedy_decoding_leaves_the_generator_of_torch_alone(model: Llama) -> None:
    before = torch.get_rng_state()
    generate(model, MIXED, 2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("temperature", "of"), [(0.7, 0.7), (1.0, 1.0), (0.0, 1.0)])
def test_logprobs_are_those_at_the_sampling_temperature(model: Llama, temperature: float, of: float) -> None:
    """Greedy decoding has none: there they are the model's own, at temperature 1."""
    for prompt, c in zip(MIXED, Sampler(model, 4).complete(MIXED, 8, temperature, logprobs=True), strict=True):
        expected = reference_logprobs(model, prompt, c.ids, of)
        torch.testing.assert_close(torch.tensor(c.logprobs, dtype=torch.float64), expected, rtol=0, atol=1e-9)


def test_logprobs_only_on_request(model: Llama) -> None:
    assert Sampler(model, 1).complete([RAGGED[1]], 3)[0].logprobs == []


# ------------------------------------------------------------------------------------------------------------ ranks


def generate_on_a_rank(world: World) -> list[list[int]]:
    with unsharded(shard(random_model(), world), world) as plain:
        return generate(plain, SHARE_OF_RANK[world.rank], 20)


@pytest.mark.long
def test_sharded_ranks_with_unequal_work_neither_wait_for_one_another_nor_say_anything_else(
    model: Llama, two_ranks
) -> None:
    said = two_ranks.run(generate_on_a_rank, timeout=120)  # TimeoutError: the ranks wait for one another
    assert said == [generate(model, prompts, 20) for prompts in SHARE_OF_RANK]


# -------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("prompts", "settings", "message"),
    [
        ([[3], []], {}, "prompt 1 has 0 tokens"),
        ([[3] * 256], {}, "prompt 0 has 256 tokens; this model takes 1 to 255"),
        ([[3]], {"max_new_tokens": 0}, "max_new_tokens is 0"),
        ([[3]], {"temperature": -1.0}, "temperature is -1.0"),
        ([[3]], {"seeds": [1, 2]}, "2 seeds for 1 prompts"),
        ([[3]], {"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_bad_input_is_named(model: Llama, prompts: list[list[int]], settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(model, prompts, **({"max_new_tokens": 4} | settings))
