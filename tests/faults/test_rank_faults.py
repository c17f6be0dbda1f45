"""One of two ranks dies or hangs: the other one ends soon and says so, and both go on from the last state."""

import multiprocessing
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from ranks import CONTEXT, free_port, take_place
from runs import arguments, before_step, losses, metrics, weights
from torch.distributed import TCPStore

import train_sft
from tl.training import distributed
from tl.training.loop import run_script

TIMEOUT = 4.0
SECONDS = 60.0  # of a busy machine, for what takes two

FAULTS = {"dies": signal.SIGKILL, "hangs": signal.SIGSTOP}


def rank_of_two(rank: int, port: int, flags: list[str], said: Path, number: int | None) -> None:
    """train_sft.py as torchrun starts it; with a signal's number, the second rank gets that before its second step."""
    take_place(rank, 2, port)
    with said.open("a") as file:
        os.dup2(file.fileno(), 2)
    distributed.TIMEOUT = timedelta(seconds=TIMEOUT if number else SECONDS)
    if number and rank == 1:
        before_step(2, pytest.MonkeyPatch(), lambda: os.kill(os.getpid(), number))
    sys.argv = ["train_sft.py", *flags]
    run_script(train_sft.main)


def started(flags: list[str], folder: Path, number: int | None = None) -> list[multiprocessing.Process]:
    port = free_port()
    ranks = [
        CONTEXT.Process(target=rank_of_two, args=(rank, port, flags, folder / f"rank-{rank}", number))
        for rank in range(2)
    ]
    for rank in ranks:
        rank.start()
    return ranks


@pytest.mark.parametrize("fault", FAULTS)
def test_a_rank_is_not_waited_for_for_ever_and_both_go_on_from_the_last_state(toy_sft, whole, tmp_path, fault):
    flags = arguments(toy_sft, tmp_path / "run", "--save_every", "1", "--resume")
    flags += ["--cache", str(whole.parent / ".prepared")]
    first, second = started(flags, tmp_path, FAULTS[fault])
    try:
        first.join(SECONDS)
        assert first.exitcode == 1
    finally:
        second.kill()  # which torchrun does
        first.kill()
    second.join()
    said = (tmp_path / "rank-0").read_text()
    assert "error: rank 0: another rank has ended or does not answer." in said and "Traceback" not in said
    assert ("Timed out" if fault == "hangs" else "Connection") in said
    assert [line["step"] for line in metrics(tmp_path / "run")] == [1]
    again = started(flags, tmp_path)
    for rank in again:
        rank.join(SECONDS)
    assert [rank.exitcode for rank in again] == [0, 0]
    assert losses(tmp_path / "run") == pytest.approx(losses(whole), rel=1e-4)
    ours = weights(tmp_path / "run")
    assert all((ours[name] - weight).abs().max() < 1e-4 for name, weight in weights(whole).items())


def started_again(rank: int, port: int, start: int, seconds: float) -> None:
    """Joins the group as a rank that torchrun has started ``start`` times before does, ``seconds`` late."""
    elastic = {"GROUP_WORLD_SIZE": 1, "TORCHELASTIC_RESTART_COUNT": start, "TORCHELASTIC_USE_AGENT_STORE": True}
    take_place(rank, 2, port, **elastic)
    time.sleep(seconds)
    with distributed.process_group():
        pass


@pytest.mark.parametrize("late", [0, 1])
def test_ranks_that_are_started_again_do_not_call_those_that_ended(late):
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # torchrun's own, which outlives the ranks
    for start, seconds in enumerate((0.0, 2.0)):
        ranks = [
            CONTEXT.Process(target=started_again, args=(rank, store.port, start, seconds * (rank == late)))
            for rank in range(2)
        ]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join(SECONDS)
            rank.kill()
        assert [rank.exitcode for rank in ranks] == [0, 0]
