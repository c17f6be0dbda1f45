"""Minibatches of PPO: every epoch goes over all rollouts once, however many are left."""

import itertools

import pytest

from tl.ppo_batch import minibatches


@pytest.mark.parametrize(
    ("n", "size", "sizes"),
    [(32, 8, [8, 8, 8, 8]), (31, 8, [7, 8, 8, 8]), (9, 8, [4, 5]), (5, 8, [5]), (3, 1, [1, 1, 1]), (1, 8, [1])],
)
def test_each_epoch_has_every_rollout_once_in_minibatches_of_nearly_one_size(n, size, sizes):
    rows = list(minibatches(n, size, epochs=3, seed=4))
    epochs = [rows[i : i + len(sizes)] for i in range(0, len(rows), len(sizes))]
    assert len(epochs) == 3
    for epoch in epochs:
        assert [len(minibatch) for minibatch in epoch] == sizes
        assert sorted(itertools.chain(*epoch)) == list(range(n))


def test_epochs_go_in_orders_of_their_own_which_the_seed_decides():
    first, second = minibatches(30, 30, epochs=2, seed=0)
    assert first != second and [first, second] == list(minibatches(30, 30, epochs=2, seed=0))
    assert [first, second] != list(minibatches(30, 30, epochs=2, seed=1))
