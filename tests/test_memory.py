"""The estimate of --dry_run beside what a process really takes, and what loading a sharded model takes."""

from pathlib import Path

import pytest
import torch
from ranks import CONTEXT

import train_sft
from tl import distributed
from tl.distributed import World
from tl.mae import ErrorCategory
from tl.memory import Checkpointing, count_parameters, training_memory
from tl.model import Llama, ModelConfig
from tl.prompt import Example, Turn
from tl.weights import save_model

MIB = 2**20
CONFIG = ModelConfig(32016, 512, 1376, 8, 8, 4, 64, 2048)
TOKENS = 2048


def resident(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split(f"{name}:")[1].split()[0])


def peak_of(action) -> int:
    """Bytes by which the process's resident memory grew at most while ``action()`` ran."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from what is resident now
    before = resident("VmRSS")
    action()
    return resident("VmHWM") - before


def example() -> Example:
    ids = torch.arange(TOKENS) % CONFIG.vocab_size
    weights = torch.zeros(TOKENS)
    weights[::4] = 1.0
    turn = Turn(1, TOKENS, True, ErrorCategory.ALL_RIGHT, (), True)
    return Example("a", ids, ids, weights, torch.zeros_like(ids), (turn,), 0)


def train_two_steps(mode: Checkpointing, connection) -> None:
    """The second step is the first with the optimizer's state there from the beginning."""
    torch.set_num_threads(1)
    with distributed.process_group() as world:
        config = train_sft.SFTConfig(micro_tokens=TOKENS, checkpointing=mode)

        def work() -> None:
            model = Llama(CONFIG)
            distributed.shard(model, world, mode)
            optimizer = train_sft.make_optimizer(model, config)
            for _ in range(2):
                train_sft.train_step(model, optimizer, [example()], config, world)

        connection.send(peak_of(work))


@pytest.mark.long
@pytest.mark.parametrize("mode", ["none", "full"])
def test_the_estimate_is_within_15_percent_of_the_measured_peak(mode):
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=train_two_steps, args=(mode, theirs))
    process.start()
    assert ours.poll(240), "no measurement"
    measured, estimate = ours.recv(), training_memory(CONFIG, TOKENS, checkpointing=mode).total
    process.join()
    assert estimate == pytest.approx(measured, rel=0.15), f"{estimate / MIB:.0f} MiB, measured {measured / MIB:.0f} MiB"


def own_memory_of_loading(world: World, folder: Path) -> int:
    """Bytes that a process has for itself behind loading; pages of the file belong to all processes together."""
    before = resident("RssAnon")
    globals().update(kept=distributed.load(folder, world))
    return resident("RssAnon") - before


def test_two_ranks_hold_half_of_the_weights_each(two_ranks, tmp_path):
    torch.manual_seed(0)
    config = ModelConfig(8192, 512, 1408, 6, 8, 8, 64, 1024)
    save_model(Llama(config), tmp_path)
    whole = 4 * count_parameters(config)
    for own in two_ranks.run(own_memory_of_loading, tmp_path):
        assert 0.45 * whole < own < 0.65 * whole, f"{own / MIB:.0f} of {whole / MIB:.0f} MiB"
