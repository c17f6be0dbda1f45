"""The KV cache: reading a text in pieces gives what reading it at once gives, wherever its row is moved."""

from dataclasses import replace

import checkpoints
import pytest
import torch
from allocations import peak_allocated
from checkpoints import with_large_weights

from tl.llama import Llama
from tl.llama.cache import KVCache, room_for

CONFIG = replace(checkpoints.CONFIG, vocab_size=50, max_position_embeddings=256)


def make(kv_heads: int, rows: int, capacity: int) -> tuple[Llama, KVCache]:
    torch.manual_seed(0)
    config = replace(CONFIG, num_key_value_heads=kv_heads)
    model = with_large_weights(Llama(config).double().requires_grad_(False), 15)
    return model, KVCache(config, rows, capacity, torch.float64)


def feed(model: Llama, cache: KVCache, *pieces: torch.Tensor) -> list[torch.Tensor]:
    """One forward that reads ``pieces[r]`` into row r; the logits of each piece."""
    lengths = [len(piece) for piece in pieces]
    return list(model(torch.cat(pieces)[None], lengths=lengths, cache=cache)[0].split(lengths))


def ids(n: int) -> torch.Tensor:
    return torch.randint(CONFIG.vocab_size, (n,))


NONE = torch.zeros(0, dtype=torch.long)


def test_a_cache_is_made_anew_only_where_a_row_or_a_token_does_not_fit():
    assert [room_for(n) for n in (1, 128, 129, 256)] == [128, 128, 256, 256]
    cache = KVCache(CONFIG, 2, 128)
    keys = cache.keys
    cache.reserve(2, 128)
    assert cache.keys is keys
    cache.reserve(2, 129)
    assert cache.capacity == 256


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_reading_in_pieces_equals_reading_at_once(kv_heads: int) -> None:
    model, cache = make(kv_heads, rows=3, capacity=40)
    a, b, c = ids(30), ids(22), ids(9)
    parts = [
        feed(model, cache, a[:10], b[:1], NONE),
        feed(model, cache, NONE, b[1:20], c[:8]),
        feed(model, cache, a[10:29], NONE, NONE),
        list(model(torch.stack((a[29:], b[20:21], c[8:])), lengths=[1, 1, 1], cache=cache)),  # one token a row
        list(model(torch.stack([NONE.new_tensor([0]), b[21:22]])[1:], lengths=[0, 1, 0], cache=cache)),
    ]
    got = {
        "a": torch.cat((parts[0][0], parts[2][0], parts[3][0])),
        "b": torch.cat((parts[0][1], parts[1][1], parts[3][1], parts[4][0])),
        "c": torch.cat((parts[1][2], parts[3][2])),
    }
    for name, text in (("a", a), ("b", b), ("c", c)):
        torch.testing.assert_close(got[name], model(text[None])[0], rtol=0, atol=1e-10)
    assert cache.lengths == [30, 22, 9]


def test_rows_can_be_copied_cut_swapped_and_given_room() -> None:
    model, cache = make(kv_heads=2, rows=3, capacity=20)
    a, b, end = ids(20), ids(7), ids(150)
    feed(model, cache, a, b, NONE)
    cache.copy_prefix(0, 2, 12)
    cache.copy_prefix(0, 0, 5)
    cache.swap(0, 1)
    cache.reserve(3, 12 + len(end))
    assert cache.lengths == [7, 5, 12] and cache.capacity >= 162
    texts = torch.cat((b, end[:3])), torch.cat((a[:5], end[:4])), torch.cat((a[:12], end))
    for got, text in zip(feed(model, cache, end[:3], end[:4], end), texts, strict=True):
        torch.testing.assert_close(got, model(text[None])[0, -len(got) :], rtol=0, atol=1e-10)


def test_room_that_is_there_is_kept() -> None:
    _, cache = make(kv_heads=2, rows=2, capacity=300)
    keys = cache.keys
    cache.reserve(1, 10)
    assert cache.keys is keys


def test_more_room_a_row_may_mean_fewer_rows_and_the_other_way_round() -> None:
    model, cache = make(kv_heads=2, rows=3, capacity=128)
    a, b, c, end = ids(128), ids(30), ids(8), ids(4)
    feed(model, cache, a, b, c)
    cache.reserve(2, 200)
    assert cache.keys.shape[1:4:2] == cache.values.shape[1:4:2] == (2, 256) and cache.lengths == [128, 30]
    feed(model, cache, end, NONE)
    cache.reserve(4, 100)
    assert cache.keys.shape[1:4:2] == (4, 128) and cache.lengths == [128, 30, 0, 0]  # the first row is cut
    [_, got, _, _] = feed(model, cache, NONE, end, NONE, c)
    torch.testing.assert_close(got, model(torch.cat((b, end))[None])[0, -4:], rtol=0, atol=1e-10)


def test_keys_grow_before_values_so_that_no_more_than_half_of_the_old_is_held_beside_the_new() -> None:
    def grow() -> tuple[int, int]:
        cache = KVCache(CONFIG, 4, 1024)
        before = cache.keys.nbytes
        cache.reserve(4, 1025)
        return before, cache.keys.nbytes

    peak, (before, after) = peak_allocated(grow)
    assert peak == before + 2 * after
