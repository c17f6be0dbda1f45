"""The estimate of --dry_run beside what a step really allocates, and what loading a sharded model takes."""

import gc
from pathlib import Path

import pytest
import torch
from allocations import peak_allocated

import train_sft
from tl.llama import Llama, ModelConfig, save_model
from tl.llama.lora import LoRA, add_lora
from tl.mae import ErrorCategory
from tl.metrics import Question
from tl.prompt import Example, Turn
from tl.training import distributed
from tl.training.distributed import Checkpointing, World
from tl.training.held_out import cached_tokens
from tl.training.memory import count_parameters, training_memory
from tl.training.optimizer import make_optimizer

MIB = 2**20
CONFIG = ModelConfig(32016, 512, 1376, 8, 8, 4, 64, 2048)
TOKENS = 512


def example() -> Example:
    """All of its tokens are targets; fewer of them make fewer logits, of which the estimate knows nothing."""
    ids = torch.arange(TOKENS) % CONFIG.vocab_size
    weights = torch.ones(TOKENS)
    turn = Turn(1, TOKENS, True, ErrorCategory.ALL_RIGHT, (), True)
    return Example("a", ids, ids, weights, torch.zeros_like(ids), (turn,), 0)


def peak_of_two_steps(mode: Checkpointing, lora: LoRA | None = None) -> int:
    """Bytes. The second step is the first with the optimizer's state there from the beginning; each has two
    micro-batches, so that gradients are there when the second one's activations are."""
    config = train_sft.SFTConfig(micro_tokens=TOKENS, checkpointing=mode, learning_rate=1e-6)
    with distributed.process_group() as world:

        def work() -> None:
            model = Llama(CONFIG)
            if lora is not None:
                add_lora(model, lora)
            distributed.shard(model, world, mode)
            optimizer = make_optimizer(model, config.learning_rate, config)
            for _ in range(2):
                train_sft.train_step(model, optimizer, [example(), example()], config, world)

        return peak_allocated(work)[0]


@pytest.mark.long
@pytest.mark.parametrize(("mode", "lora"), [("none", None), ("full", None), ("none", LoRA(16, 32.0))])
def test_the_estimate_is_within_10_percent_of_the_measured_peak(mode, lora):
    measured = peak_of_two_steps(mode, lora)
    estimate = training_memory(CONFIG, TOKENS, checkpointing=mode, lora=lora).total
    assert estimate == pytest.approx(measured, rel=0.10), f"{estimate / MIB:.0f} MiB, measured {measured / MIB:.0f} MiB"


def test_the_measured_peak_is_not_lowered_by_what_an_earlier_measurement_left():
    def leave_a_cycle() -> None:
        left: list = [torch.zeros(1000)]
        left.append(left)

    def free_it_and_allocate() -> None:
        gc.collect()
        torch.zeros(1000)

    assert peak_allocated(leave_a_cycle)[0] == 4000
    assert peak_allocated(free_it_and_allocate)[0] == 4000


def test_the_peak_is_in_a_step_or_in_an_evaluation():
    """CodeLLaMA-7B on 8 ranks: an evaluation holds the whole model in bfloat16 and 14 rows of 2,304 tokens."""
    codellama = ModelConfig(32016, 4096, 11008, 32, 32, 32, 128, 16384)
    without, memory = (training_memory(codellama, 8192, 8, 2, "full", cached=n) for n in (0, 14 * 2304))
    assert without.total == memory.held + memory.step and without.generation == 0
    assert memory.kv_cache == 14 * 2304 * 32 * 2 * 4096 * 2
    assert memory.copies == 2 * (count_parameters(codellama) + 16384 * (2 * 4096 + 3 * 11008))
    assert memory.total == memory.held + memory.generation > without.total


def test_the_cache_of_an_evaluation_is_that_of_the_rank_with_the_longest_requests():
    questions = [Question(str(n), (), (), (), prompt_ids=[3] * n) for n in (100, 50, 30)]
    assert cached_tokens(questions, 110) == 3 * 256  # whole blocks of 128
    assert cached_tokens(questions, 110, ranks=2) == 2 * 256  # the first and the third
    assert cached_tokens([], 10) == 0


def peak_of_loading(world: World, folder: Path) -> int:
    return peak_allocated(lambda: distributed.load(Llama, folder, world))[0]


def test_two_ranks_read_half_of_the_weights_each(two_ranks, tmp_path):
    """The file itself is mapped, not read: its pages belong to all processes together."""
    torch.manual_seed(0)
    config = ModelConfig(8192, 512, 1408, 6, 8, 8, 64, 1024)
    save_model(Llama(config), tmp_path)
    mapped, whole = (tmp_path / "model.safetensors").stat().st_size, 4 * count_parameters(config)
    for peak in two_ranks.run(peak_of_loading, tmp_path):
        assert mapped + 0.45 * whole < peak < mapped + 0.6 * whole, (
            f"{(peak - mapped) / MIB:.0f} of {whole / MIB:.0f} MiB"
        )
