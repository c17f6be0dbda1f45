"""How a step is spread over ranks and micro-batches changes nothing but rounding."""

import resource
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
import torch.nn.functional as F
from ranks import Ranks, on_one_rank
from runs import Crash, arguments, before_step, crash_at, evaluations, losses, metrics, weights
from torch.distributed.tensor import DTensor

import train_sft
from tl.datasets import DataError
from tl.llama import Llama, Tokenizer, load_model
from tl.prompt import EncodingOptions, Example
from tl.training import distributed
from tl.training.batching import collate, target_nll
from tl.training.config import RunError
from tl.training.data import load_training_data
from tl.training.distributed import RankError, World
from tl.training.optimizer import make_optimizer

STEPS = [[0, 1, 2], [3, 4, 5, 6, 7], [8, 2]]  # trajectories of three global batches, never the same number a rank
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6}


def examples(toy: Path) -> list[Example]:
    data = load_training_data([str(toy / "data.jsonl")], Tokenizer(toy / "model"), EncodingOptions(), progress=False)
    return list(data.examples)


def train(world: World, toy: Path, dtype: torch.dtype, batches: list[list[int]], micro_tokens: int):
    """Losses, gradient norms and, on rank 0, parameters after a step on each batch of examples."""
    config = train_sft.SFTConfig(micro_tokens=micro_tokens, learning_rate=1e-3)
    model = distributed.load(Llama, toy / "model", world, dtype=dtype)
    optimizer, data = make_optimizer(model, config.learning_rate, config, embedding_lr_ratio=0.5), examples(toy)
    steps = [train_sft.train_step(model, optimizer, [data[i] for i in batch], config, world) for batch in batches]
    whole = distributed.gather(model, world)
    return steps, None if whole is None else {name: p.detach() for name, p in whole.named_parameters()}


def train_naively(world: World, *arguments):
    """The same, except that each rank divides by its own total: the average of the ranks' averages."""
    correct = distributed.sum_over_ranks
    distributed.sum_over_ranks = lambda values: [value * world.size for value in values]
    try:
        return train(world, *arguments)
    finally:
        distributed.sum_over_ranks = correct


def assert_equal(one, other, tolerance: float) -> None:
    (steps, parameters), (other_steps, other_parameters) = one, other
    for step, other_step in zip(steps, other_steps, strict=True):
        assert step == pytest.approx(other_step, rel=tolerance, abs=tolerance)
    for name, parameter in parameters.items():
        torch.testing.assert_close(other_parameters[name], parameter, rtol=tolerance, atol=tolerance)


def averaged(world: World, toy: Path, lora_rank: int = 0) -> dict[str, torch.Tensor] | None:
    """On rank 0, the parameters of a model whose trained ones moved by 1, averaged with the initial ones."""
    config = train_sft.SFTConfig(model=str(toy / "model"), initial_share=0.25, lora_rank=lora_rank)
    model = train_sft.initial_model(config, world)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(float(parameter.requires_grad))
    train_sft.average_with_initial(model, config, world)
    whole = distributed.gather(model, world)
    return None if whole is None else {name: p.detach() for name, p in whole.named_parameters()}


def test_two_ranks_average_with_the_initial_weights_as_one_does(toy_sft, two_ranks):
    two, _ = two_ranks.run(averaged, toy_sft)
    for name, initial in load_model(toy_sft / "model", torch.float32).named_parameters():
        torch.testing.assert_close(two[name], initial + 0.75)


def test_two_ranks_average_adapters_with_the_initial_ones(toy_sft, two_ranks):
    """Of the product B A, only B changes: it starts at 0."""
    two, _ = two_ranks.run(averaged, toy_sft, 4)
    initial = dict(load_model(toy_sft / "model", torch.float32).named_parameters())
    for name, parameter in two.items():
        if name in initial:
            torch.testing.assert_close(parameter, initial[name])
        elif "lora_B" in name:
            torch.testing.assert_close(parameter, torch.full_like(parameter, 0.75))
    assert {name.rpartition(".lora_")[2] for name in two.keys() - initial} == {"A.weight", "B.weight"}


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_two_ranks_equal_one(toy_sft, two_ranks, dtype):
    one = on_one_rank(train, toy_sft, dtype, STEPS, 10_000)
    two, _ = two_ranks.run(train, toy_sft, dtype, STEPS, 10_000)
    assert_equal(one, two, TOLERANCE[dtype])


def test_eight_ranks_equal_one(toy_sft, eight_ranks):
    one = on_one_rank(train, toy_sft, torch.float64, STEPS, 10_000)
    eight, *_ = eight_ranks.run(train, toy_sft, torch.float64, STEPS, 10_000)
    assert_equal(one, eight, TOLERANCE[torch.float64])


def test_the_average_of_rank_averages_would_not(toy_sft, two_ranks):
    one = on_one_rank(train, toy_sft, torch.float64, STEPS, 10_000)
    two, _ = two_ranks.run(train_naively, toy_sft, torch.float64, STEPS, 10_000)
    with pytest.raises(AssertionError):
        assert_equal(one, two, 1e-4)


@pytest.mark.parametrize("micro_tokens", [1, 400])
def test_micro_batches_and_order_do_not_matter_on_two_ranks(toy_sft, two_ranks, micro_tokens):
    one = on_one_rank(train, toy_sft, torch.float64, STEPS, 10_000)
    shuffled = [batch[::-1] for batch in STEPS]
    two, _ = two_ranks.run(train, toy_sft, torch.float64, shuffled, micro_tokens)
    assert_equal(one, two, TOLERANCE[torch.float64])


def run(world: World, flags: list[str]) -> tuple[int, list[str]]:
    """Exit status and warnings of train_sft.py."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        status = train_sft.run(train_sft.resolve_config(flags), world)
    return status, [str(warning.message) for warning in caught]


def run_and_crash(world: World, flags: list[str], step: int) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
        crash_at(step, patch)
        run(world, flags)


def assert_close(one: Path, two: Path) -> None:
    assert losses(one) == pytest.approx(losses(two), rel=1e-4)
    second = weights(two)
    for name, weight in weights(one).items():
        torch.testing.assert_close(second[name], weight, rtol=0, atol=1e-4)


def test_a_batch_smaller_than_the_ranks_works_with_one_warning(toy_sft, two_ranks, tmp_path):
    train_sft.main(arguments(toy_sft, tmp_path / "one", "--batch_size", "1"))
    (status, warned), (_, elsewhere) = two_ranks.run(run, arguments(toy_sft, tmp_path / "two", "--batch_size", "1"))
    assert status == 0 and elsewhere == []
    assert [message for message in warned if "--batch_size 1" in message] == warned
    assert_close(tmp_path / "one", tmp_path / "two")


def test_another_number_of_ranks_may_resume(toy_sft, two_ranks, tmp_path):
    train_sft.main(arguments(toy_sft, tmp_path / "whole"))
    grows, shrinks = (arguments(toy_sft, tmp_path / name, "--save_every", "1") for name in ("grows", "shrinks"))
    on_one_rank(run_and_crash, grows, 3)
    assert [status for status, _ in two_ranks.run(run, [*grows, "--resume"])] == [0, 0]
    two_ranks.run(run_and_crash, shrinks, 3)
    assert on_one_rank(run, [*shrinks, "--resume"])[0] == 0
    assert_close(tmp_path / "whole", tmp_path / "grows")
    assert_close(tmp_path / "whole", tmp_path / "shrinks")


def test_a_run_goes_on_from_two_ranks_to_one_and_to_two(toy_sft, two_ranks, tmp_path):
    train_sft.main(arguments(toy_sft, tmp_path / "whole"))
    flags = arguments(toy_sft, tmp_path / "run", "--save_every", "1")
    two_ranks.run(run_and_crash, flags, 2)
    on_one_rank(run_and_crash, [*flags, "--resume"], 3)
    assert [line["step"] for line in metrics(tmp_path / "run")] == [1, 2, 3]
    assert [status for status, _ in two_ranks.run(run, [*flags, "--resume"])] == [0, 0]
    assert_close(tmp_path / "whole", tmp_path / "run")


def test_a_run_goes_on_from_four_ranks_to_eight_and_to_two(toy_sft, two_ranks, eight_ranks, tmp_path):
    """A step on four, one on eight, two on two: the same as all on one."""
    train_sft.main(arguments(toy_sft, tmp_path / "whole"))
    flags = arguments(toy_sft, tmp_path / "run", "--save_every", "1")
    four_ranks = Ranks(4)
    try:
        crashed = [four_ranks.run(run_and_crash, flags, 2), eight_ranks.run(run_and_crash, [*flags, "--resume"], 2)]
    finally:
        four_ranks.close()
    assert crashed == [[None] * 4, [None] * 8]
    assert [status for status, _ in two_ranks.run(run, [*flags, "--resume"])] == [0, 0]
    assert [line["step"] for line in metrics(tmp_path / "run")] == [1, 2, 3, 4]
    assert_close(tmp_path / "whole", tmp_path / "run")


def test_evaluation_while_training_does_not_depend_on_the_ranks(toy_sft, two_ranks, tmp_path):
    def flags(out: str) -> list[str]:
        held_out = ["--eval_data", str(toy_sft / "data.jsonl"), "--eval_every", "2", "--eval_items", "5"]
        return arguments(toy_sft, tmp_path / out, "--max_steps", "2", *held_out)

    train_sft.main(flags("one"))
    two_ranks.run(run, flags("two"))
    [one], [two] = evaluations(tmp_path / "one"), evaluations(tmp_path / "two")
    assert one == pytest.approx(two, rel=1e-5) and one["step"] == 2


def run_with_an_evaluation_that_fails(world: World, flags: list[str], function: str) -> tuple[int, list[str]]:
    """As ``run``; on rank 1 the function fails."""
    with pytest.MonkeyPatch.context() as patch:
        if world.rank == 1:
            patch.setattr(function, Mock(side_effect=MemoryError("of rank 1")))
        return run(world, flags)


@pytest.mark.parametrize("function", ["train_sft.golden_loss", "tl.training.distributed._check_memory"])
def test_an_evaluation_that_fails_on_one_rank_fails_on_all_and_the_model_is_saved(
    function, toy_sft, two_ranks, tmp_path
):
    flags = arguments(toy_sft, tmp_path / "run", "--max_steps", "1", "--eval_data", str(toy_sft / "data.jsonl"))
    first, second = two_ranks.run(run_with_an_evaluation_that_fails, flags, function)
    assert first == (0, ["step 1: the evaluation failed, RankError: rank 1 failed: MemoryError: of rank 1"])
    assert second == (0, [])
    assert (tmp_path / "run" / "config.json").exists()


def fail_on_rank_1(world: World) -> None:
    with distributed.propagate_errors(world):
        if world.rank == 1:
            raise RunError("out of cats")


def test_an_exception_on_one_rank_reaches_all(two_ranks):
    first, second = two_ranks.run(fail_on_rank_1)
    assert isinstance(first, RankError) and "rank 1 failed: RunError: out of cats" in str(first)
    assert isinstance(second, RunError)
    here = World(0, 2, torch.device("cpu"))
    assert distributed.all_know(first, here) and distributed.all_know(second, here)
    assert not distributed.all_know(RunError("out of cats"), here)


def cannot_read(path: Path) -> str:
    raise OSError(f"{path}: no such file")


def save_where_rank_1_cannot_read_what_was_written(world: World, flags: list[str]) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        if world.rank == 1:
            patch.setattr("tl.training.checkpoint.sha256", cannot_read)
        return run(world, flags)[1]


def test_a_state_that_one_rank_cannot_read_back_is_no_state_and_the_run_goes_on(toy_sft, two_ranks, tmp_path):
    flags = arguments(toy_sft, tmp_path / "run", "--save_every", "2")
    warned, _ = two_ranks.run(save_where_rank_1_cannot_read_what_was_written, flags)
    assert len(warned) == 2 and all("could not save a state" in message and "rank 1" in message for message in warned)
    assert len(metrics(tmp_path / "run")) == 4


@contextmanager
def full_disk() -> Iterator[None]:
    """Restores what ``fill_disk`` does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def fill_disk(most: int) -> None:
    """From now on, the system refuses to let any file of this process grow beyond ``most`` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def lose_the_disk_of_rank_1(world: World, flags: list[str]) -> tuple[int, list[str]]:
    """As ``run``; rank 1 can write no part of a state after the first step."""
    with pytest.MonkeyPatch.context() as patch, full_disk():
        if world.rank == 1:
            before_step(2, patch, lambda: fill_disk(16_000))
        return run(world, flags)


def test_a_rank_that_loses_its_disk_costs_states_and_no_steps(toy_sft, two_ranks, tmp_path):
    train_sft.main(arguments(toy_sft, tmp_path / "whole"))
    flags = arguments(toy_sft, tmp_path / "run", "--save_every", "1")
    (status, warned), second = two_ranks.run(lose_the_disk_of_rank_1, flags)
    assert status == 0 and second == (0, [])
    for step, message in zip((2, 3, 4), warned, strict=True):
        assert f"could not save a state at step {step}: " in message and "rank 1: " in message
    assert_close(tmp_path / "whole", tmp_path / "run")


def prepare_where_rank_1_has_no_room(world: World, flags: list[str], caches: Path) -> None:
    """As ``run``; each rank prepares the data on its own disk, as on several machines; that of rank 1 is full."""
    original = train_sft.cache_folder

    @contextmanager
    def cache_folder(*arguments: object) -> Iterator[Path]:
        with original(*arguments):
            yield caches / str(world.rank)

    with pytest.MonkeyPatch.context() as patch, full_disk():
        patch.setattr(train_sft, "cache_folder", cache_folder)
        if world.rank == 1:
            fill_disk(0)
        run(world, flags)


def test_a_rank_that_cannot_prepare_the_data_stops_all_with_the_cause(toy_sft, two_ranks, tmp_path):
    flags = arguments(toy_sft, tmp_path / "run")
    first, second = two_ranks.run(prepare_where_rank_1_has_no_room, flags, tmp_path / "caches")
    cause = f"{tmp_path / 'caches' / '1'}: data cannot be prepared there (File too large)"
    assert isinstance(second, DataError) and str(second).startswith(cause)
    assert isinstance(first, RankError) and f"rank 1 failed: DataError: {cause}" in str(first)


def blow_up_on_rank_1(world: World, flags: list[str]) -> list[str]:
    """The second step's loss is infinite, of which rank 0 sees nothing by itself."""
    original, calls = train_sft.weighted_cross_entropy, []

    def loss(*args):
        calls.append(None)
        return original(*args) * (torch.inf if world.rank == 1 and len(calls) == 2 else 1.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_sft, "weighted_cross_entropy", loss)
        return run(world, flags)[1]


def test_a_step_that_is_not_finite_on_one_rank_is_skipped_on_all(toy_sft, two_ranks, tmp_path):
    warned, _ = two_ranks.run(blow_up_on_rank_1, arguments(toy_sft, tmp_path / "run"))
    assert len(warned) == 1 and "step 2: skipped" in warned[0] and "trajectories" in warned[0]
    assert all(torch.isfinite(weight).all() for weight in weights(tmp_path / "run").values())


@pytest.mark.parametrize(
    ("device", "supported", "dtype"),
    [("cpu", True, torch.float32), ("cuda", True, torch.bfloat16), ("cuda", False, torch.float32)],
)
def test_bfloat16_is_computed_in_where_a_gpu_has_it_in_hardware(monkeypatch, device, supported, dtype):
    def is_bf16_supported(including_emulation):
        assert not including_emulation
        return supported

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    assert World(0, 1, torch.device(device)).compute_dtype == dtype


def forward_and_backward(world: World, toy: Path, compute_dtype: torch.dtype):
    """(loss, types that matrix products return, types of the parameters, this rank's gradient as one vector)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(World, "compute_dtype", compute_dtype)
        model = distributed.load(Llama, toy / "model", world)
    returned = set()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda module, inputs, output: returned.add(output.dtype))
    loss = target_nll(model, collate(examples(toy)[world.rank :: world.size])).mean()
    loss.backward()
    parameters = list(model.parameters())
    gradient = torch.cat([parameter.grad.to_local().flatten() for parameter in parameters])
    return loss.item(), returned, {parameter.dtype for parameter in parameters}, gradient


def test_bfloat16_is_for_computing_weights_and_the_sum_of_gradients_are_float32(toy_sft, two_ranks):
    exact = two_ranks.run(forward_and_backward, toy_sft, torch.float32)
    mixed = two_ranks.run(forward_and_backward, toy_sft, torch.bfloat16)
    for (exact_loss, _, _, exact_gradient), (loss, returned, parameters, gradient) in zip(exact, mixed, strict=True):
        assert returned == {torch.bfloat16}
        assert parameters == {gradient.dtype} == {torch.float32}
        assert not torch.equal(gradient, gradient.bfloat16()), "rounded to bfloat16"
        assert loss != exact_loss and loss == pytest.approx(exact_loss, rel=0.01)
        assert F.cosine_similarity(gradient, exact_gradient, dim=0) > 0.99


def logits_of_the_whole(world: World, toy: Path) -> tuple[list[str], torch.Tensor, bool]:
    """(classes of the plain view's modules, its logits, whether the model is sharded again after it)."""
    model = distributed.load(Llama, toy / "model", world, "full")
    with torch.no_grad(), distributed.unsharded(model, world) as plain:
        logits = plain(torch.arange(12)[None])
    return [type(m).__name__ for m in plain.modules()], logits, isinstance(model.lm_head.weight, DTensor)


def test_the_whole_of_a_sharded_model_is_a_plain_one(toy_sft, two_ranks):
    expected = load_model(toy_sft / "model", dtype=torch.float32)(torch.arange(12)[None])
    for names, logits, sharded_again in two_ranks.run(logits_of_the_whole, toy_sft):
        assert not any("FSDP" in name for name in names) and sharded_again
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)
