"""Order, packing and collation: what a step works on, and that how it is cut up changes nothing."""

import pytest
import torch

import tl.training.batching
from tl.llama import Llama, ModelConfig
from tl.losses import token_nll, weighted_cross_entropy
from tl.mae import ErrorCategory
from tl.prompt import NO_TARGET, Example, Turn
from tl.training.batching import balanced_shards, batches, collate, epoch_order, micro_batch_indices, pack


def example(length: int, *spans: tuple[int, int, float], seed: int = 0) -> Example:
    """``length`` random tokens with turns (start, end, weight); every target is a random token too."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, 40, (length,), generator=generator)
    targets, weights, index = torch.full((length,), NO_TARGET), torch.zeros(length), torch.full((length,), -1)
    turns = []
    for number, (start, end, weight) in enumerate(spans):
        targets[start - 1 : end] = torch.randint(3, 40, (end - start + 1,), generator=generator)
        weights[start - 1 : end] = weight
        if weight:
            weights[start - 1] = 3.0
        index[start - 1 : end] = number
        turns.append(Turn(start, end, True, ErrorCategory.ALL_RIGHT, (0,), weight > 0))
    return Example(f"e{seed}", ids, targets, weights, index, tuple(turns), 0)


EXAMPLES = [
    example(12, (4, 6, 1.0), (8, 12, 0.0), seed=1),
    example(7, (3, 7, 0.5), seed=2),
    example(20, (5, 9, 1.0), (12, 14, 1.0), (17, 20, 1.0), seed=3),
    example(5, (3, 5, 0.0), seed=4),
]


def small_model() -> Llama:
    torch.manual_seed(0)
    return Llama(ModelConfig(40, 16, 24, 2, 2, 2, 8, 64)).double()


def loss_and_gradients(model, groups, norm):
    micro_batches = [collate(group) for group in groups]
    total = sum(m.divisor(norm) for m in micro_batches)
    loss = 0
    for m in micro_batches:
        hidden = model(m.input_ids, m.lengths, return_hidden=True)[0, m.positions]
        nll = token_nll(hidden, model.lm_head.weight, m.targets)
        loss = loss + weighted_cross_entropy(nll, m.weights.double(), m.turn_index, norm, total)
    return loss, torch.autograd.grad(loss, list(model.parameters()))


def test_collate_keeps_only_weighted_targets():
    micro = collate(EXAMPLES[:2])
    assert micro.lengths == [12, 7] and micro.input_ids.shape == (1, 19)
    assert micro.positions.tolist() == [3, 4, 5, 14, 15, 16, 17, 18]
    assert micro.turn_index.tolist() == [0, 0, 0, 1, 1, 1, 1, 1]  # the masked turn is not counted
    assert micro.weights.tolist() == [3, 1, 1, 3, 0.5, 0.5, 0.5, 0.5]
    assert micro.divisor("call") == 2 and micro.divisor("sum") == 8
    flat = torch.cat([e.targets for e in EXAMPLES[:2]])
    assert torch.equal(micro.targets, flat[micro.positions])


def test_an_example_is_read_from_after_its_prefix_on():
    micro = collate(EXAMPLES[:2], [0, 2])
    assert micro.lengths == [12, 5] and micro.prefixes == [0, 2]
    assert torch.equal(micro.input_ids[0, 12:], EXAMPLES[1].input_ids[2:])
    assert micro.positions.tolist() == [3, 4, 5, 12, 13, 14, 15, 16]
    assert torch.equal(micro.targets, collate(EXAMPLES[:2]).targets)


def test_a_single_target_is_still_a_row():
    micro = collate([example(5, (3, 3, 1.0))])
    assert micro.positions.tolist() == [2] and micro.turn_index.tolist() == [0]


def test_ranks_share_the_tokens_and_have_equally_many_micro_batches():
    lengths = [4, 9, 5, 1, 3]  # the longest first: 9, then 5 and 4 beside it, 3 to the first, 1 to the second
    assert balanced_shards(lengths, 2) == [[1, 4], [0, 2, 3]]
    assert [micro_batch_indices(lengths, 9, rank, 2) for rank in (0, 1)] == [[[1], [4]], [[0, 2], [3]]]
    assert [micro_batch_indices([9], 9, rank, 2) for rank in (0, 1)] == [[[0]], [[]]]


def test_micro_batch_without_anything_to_train_on():
    micro = collate(EXAMPLES[3:])
    assert micro.divisor("call") == micro.divisor("sum") == 0 and micro.input_ids.shape == (1, 5)


@pytest.mark.parametrize("norm", ["call", "sum"])
@pytest.mark.parametrize("micro_tokens", [1, 20, 30])
def test_micro_batches_and_order_change_nothing(norm, micro_tokens):
    model = small_model()
    loss, gradients = loss_and_gradients(model, [EXAMPLES], norm)
    for examples in (EXAMPLES, EXAMPLES[::-1]):
        split_loss, split_gradients = loss_and_gradients(model, list(pack(examples, micro_tokens)), norm)
        torch.testing.assert_close(split_loss, loss, rtol=0, atol=1e-12)
        for a, b in zip(split_gradients, gradients, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_poisoned_example_does_not_reach_the_losses_of_others():
    model = small_model()
    with torch.no_grad():
        model.embed_tokens.weight[0] = float("nan")
    poisoned = example(9, seed=5)
    poisoned.input_ids[4] = 0
    clean = collate([EXAMPLES[0], EXAMPLES[2]])
    mixed = collate([EXAMPLES[0], poisoned, EXAMPLES[2]])
    nlls = []
    for m in (clean, mixed):
        hidden = model(m.input_ids, m.lengths, return_hidden=True)[0, m.positions]
        nlls.append(token_nll(hidden, model.lm_head.weight, m.targets))
    torch.testing.assert_close(nlls[0], nlls[1], rtol=0, atol=1e-12)


def test_pack_fills_up_to_the_budget_in_order():
    lengths = [[len(e) for e in group] for group in pack(EXAMPLES, 19)]
    assert lengths == [[12, 7], [20], [5]]


def test_pack_gives_a_longer_example_a_group_of_its_own():
    assert [len(group) for group in pack(EXAMPLES, 3)] == [1, 1, 1, 1]


def test_every_epoch_is_another_permutation_and_depends_on_nothing_else():
    first, second = epoch_order(50, 0, 0), epoch_order(50, 0, 1)
    assert sorted(first) == sorted(second) == list(range(50)) and first != second
    torch.manual_seed(123)
    assert epoch_order(50, 0, 0) == first and epoch_order(50, 1, 0) not in (first, second)


def test_batches_run_over_the_ends_of_epochs():
    order = [*epoch_order(5, 0, 0), *epoch_order(5, 0, 1)]
    assert list(batches(5, 4, 0, 0, 10)) == [order[:4], order[4:8], order[8:]]


def test_members_of_a_group_follow_each_other():
    groups = [[3, 0], [1, 1], [4], [2]]
    epochs = [[groups[g] for g in epoch_order(4, 0, epoch)] for epoch in (0, 1)]
    expected = [i for epoch in epochs for group in epoch for i in group]
    assert [i for batch in batches(6, 4, 0, 0, 12, groups) for i in batch] == expected


def test_the_order_of_an_epoch_is_drawn_once(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        tl.training.batching, "epoch_order", lambda n, seed, epoch: drawn.append(epoch) or list(range(n))
    )
    assert sum(map(len, batches(10, 3, 0, 0, 35))) == 35
    assert drawn == [0, 1, 2, 3]


def test_batches_continue_from_any_sample():
    assert list(batches(7, 3, 0, 6, 21)) == list(batches(7, 3, 0, 0, 21))[2:]
