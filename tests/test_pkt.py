"""Key tokens and their weights (section 3.2, Theorem A.2)."""

import pytest
import torch

from tl.pkt import call_weights, key_positions


def positions(called: list[str], *others: list[str]) -> list[int]:
    """key_positions over readable pieces instead of ids."""
    ids = {piece: i for i, piece in enumerate(sorted({p for name in (called, *others) for p in name}))}
    return key_positions([ids[p] for p in called], [tuple(ids[p] for p in other) for other in others])


FIGURE_2 = (["get", "P", "aper", "Details"], ["get", "P", "apers", "By", "Key", "words"], ["finish"])


def test_example_of_figure_2():
    details, by_keywords, finish = FIGURE_2
    assert positions(by_keywords, details, finish) == [0, 2]  # get, apers
    assert positions(finish, details, by_keywords) == [0]


def test_first_token_is_key_even_without_other_tools():
    assert positions(["search"]) == [0]


def test_every_sibling_adds_the_position_where_it_parts():
    assert positions(["get", "a", "b", "c"], ["get", "x"], ["get", "a", "b", "z"], ["put"]) == [0, 1, 3]


def test_position_after_the_name_is_key_when_the_other_name_continues_it():
    assert positions(["get", "paper"], ["get", "paper", "s"]) == [0, 2]


def test_longer_called_name_parts_from_a_name_that_is_its_prefix():
    assert positions(["get", "paper", "s"], ["get", "paper"]) == [0, 2]


def test_tools_of_the_same_name_add_nothing():
    assert positions(["get", "paper"], ["get", "paper"]) == [0]


@pytest.mark.parametrize(("n_tokens", "n_keys", "weight"), [(24, 2, 9.0), (20, 2, 9.0), (50, 1, 9.0)])
def test_counts_of_figure_2_are_clipped_to_nine(n_tokens, n_keys, weight):
    assert call_weights(n_tokens, range(n_keys))[0] == weight


def test_weights_by_hand():
    weights = call_weights(7, [0, 2])  # five other tokens, two key tokens
    assert weights.tolist() == [2.5, 1, 2.5, 1, 1, 1, 1]
    assert weights.dtype == torch.float32


def test_weight_never_falls_below_one():
    assert call_weights(3, [0, 1]).tolist() == [1, 1, 1]


def test_w_max_caps_the_ratio():
    assert call_weights(21, [0], w_max=3.0)[0] == 3.0


def test_w_max_one_is_plain_cross_entropy():
    assert call_weights(21, [0, 4], w_max=1.0).tolist() == [1.0] * 21


def test_text_turn_has_no_key_token():
    assert call_weights(4, []).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("outside", [-1, 5])
def test_key_position_outside_the_call_is_refused(outside):
    with pytest.raises(ValueError, match="do not lie within a call of 5 tokens"):
        call_weights(5, [0, outside])
