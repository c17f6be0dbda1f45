"""Noise on float32 masters of bfloat16 weights: no rounded weight changes, and small updates are no longer lost."""

from pathlib import Path

import pytest
import torch
from ranks import on_one_rank
from torch import Tensor

from tl.llama import Llama, ModelConfig, load_model, save_model
from tl.llama.model import Critic
from tl.training import distributed
from tl.training.distributed import World, full_tensor
from tl.training.dither import BLOCK, dither, moved

EVERY_BFLOAT16 = torch.arange(-(2**15), 2**15).to(torch.int16).view(torch.bfloat16)


@pytest.mark.parametrize("noise", [-1.0, -0.3, 0.0, 0.7, 1.0])
def test_every_number_of_bfloat16_rounds_to_itself(noise):
    dithered = moved(EVERY_BFLOAT16.float(), torch.full(EVERY_BFLOAT16.shape, noise))
    number = ~EVERY_BFLOAT16.isnan()
    assert torch.equal(dithered.bfloat16().view(torch.int16)[number], EVERY_BFLOAT16.view(torch.int16)[number])


def test_noise_reaches_0_49_of_the_way_to_each_neighbour():
    """Steps from 1 to 2 are 1/128; below 1, half as long."""
    weights = torch.tensor([1.5, 1.5, 1.0, 1.0, -1.0, -1.0, 0.0])
    noise = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0])
    change = torch.tensor([1 / 128, -1 / 128, 1 / 128, -1 / 256, -1 / 128, 1 / 256, 0.0])
    assert torch.equal(moved(weights, noise), weights + 0.49 * change)


def test_an_update_of_a_tenth_of_a_step_moves_the_mean_rounded_weight_by_nearly_as_much():
    """Without noise, by nothing."""
    masters, update = torch.full((100, 1000), 1.5), 0.1 / 128
    assert ((masters + update).bfloat16() == 1.5).all()
    dither(masters, 0, "a", 0)
    change = ((masters + update).bfloat16().double() - 1.5).mean().item()
    # 0.09 of 0.98 lie within 0.1 of where rounding changes; 100,000 weights leave ± 1 % of it, one standard deviation
    assert change == pytest.approx(0.09 / 0.98 / 128, rel=0.04)


def test_the_noise_of_a_row_depends_on_seed_name_and_number_alone():
    def dithered(first: int, end: int, name: str = "a", seed: int = 0) -> Tensor:
        rows = torch.ones(end - first, 3)
        dither(rows, first, name, seed)
        return rows

    whole = dithered(0, 2 * BLOCK + 10)
    parts = [dithered(0, 7), dithered(7, BLOCK + 1), dithered(BLOCK + 1, 2 * BLOCK + 10)]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(whole[:BLOCK], whole[BLOCK : 2 * BLOCK])
    assert not torch.equal(whole, dithered(0, 2 * BLOCK + 10, name="b"))
    assert not torch.equal(whole, dithered(0, 2 * BLOCK + 10, seed=1))


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    """A folder with a checkpoint in bfloat16 and one in float32; more rows than a block, tied and not."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, tied in (("tied", True), ("free", False)):
        model = Llama(ModelConfig(BLOCK + 201, 16, 24, 1, 2, 2, 8, 64, tie_word_embeddings=tied))
        save_model(model, folder / name, dtype=torch.bfloat16)
    save_model(model, folder / "float32")
    return folder


def loaded(world: World, folder: Path, seed: int | None, compute_dtype: torch.dtype = torch.bfloat16, kind=Llama):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(World, "compute_dtype", compute_dtype)
        model = distributed.load(kind, folder, world, seed=seed)
    return {name: full_tensor(parameter).detach() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("name", ["tied", "free"])
def test_loaded_masters_round_to_the_file_and_are_the_same_on_any_number_of_ranks(stored, two_ranks, name):
    one = on_one_rank(loaded, stored / name, 5)
    for two in two_ranks.run(loaded, stored / name, 5):
        assert all(torch.equal(two[parameter], one[parameter]) for parameter in one)
    for parameter, weight in load_model(stored / name).named_parameters():
        assert torch.equal(one[parameter].bfloat16(), weight)
        assert (one[parameter] != weight.float()).float().mean() > 0.9
    critic = on_one_rank(loaded, stored / name, 5, torch.bfloat16, Critic)
    assert torch.equal(critic["embed_tokens.weight"], one["embed_tokens.weight"])
    assert not critic["value_head.weight"].any(), "it is not in the file"


@pytest.mark.parametrize(
    ("name", "seed", "compute_dtype"),
    [("free", None, torch.bfloat16), ("free", 5, torch.float32), ("float32", 5, torch.bfloat16)],
)
def test_what_is_only_read_or_not_bfloat16_on_both_sides_stays_as_it_is(stored, name, seed, compute_dtype):
    weights = on_one_rank(loaded, stored / name, seed, compute_dtype)
    for parameter, weight in load_model(stored / name).named_parameters():
        assert torch.equal(weights[parameter], weight.float())
