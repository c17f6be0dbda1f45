"""Other processes for tests: two ranks that stay warm for the whole session, and processes that may die.

All are forks of one process that has imported torch and done nothing else: starting anew takes seconds each.
"""

import multiprocessing
import os
import socket
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

from tl.training.distributed import World, process_group

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["train_sft"])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def take_place(rank: int, size: int, port: int, **more: object) -> None:
    """Gives this process the environment of a rank that torchrun has started, and ``more`` of it."""
    place = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in (place | more).items()})


class Ranks:
    """A gloo group of ``size`` processes."""

    def __init__(self, size: int = 2) -> None:
        self.size = size
        self._connections: list[Connection] = []

    def run(self, function: Callable[..., Any], *arguments: Any, timeout: float = 180) -> list[Any]:
        """What ``function(world, *arguments)`` returns on each rank, or the exception that it raises there.

        TimeoutError when a rank has not come to an end within ``timeout`` seconds; the next call starts new processes.
        """
        if not self._connections:
            self._start()
        for connection in self._connections:
            connection.send((function, arguments))
        deadline = time.monotonic() + timeout
        for rank, connection in enumerate(self._connections):
            if not connection.poll(max(deadline - time.monotonic(), 0)):
                self.close()
                raise TimeoutError(f"rank {rank} of {self.size} hangs in {function.__name__}")
        return [connection.recv() for connection in self._connections]

    def close(self) -> None:
        for connection, process in zip(self._connections, self._processes, strict=True):
            connection.close()
            process.kill()
            process.join()
        self._connections = []

    def _start(self) -> None:
        port = free_port()
        pipes = [CONTEXT.Pipe() for _ in range(self.size)]
        self._connections = [ours for ours, _ in pipes]
        self._processes = [
            CONTEXT.Process(target=_work, args=(rank, self.size, port, theirs), daemon=True)
            for rank, (_, theirs) in enumerate(pipes)
        ]
        for process in self._processes:
            process.start()


def _work(rank: int, size: int, port: int, connection: Connection) -> None:
    take_place(rank, size, port)
    torch.set_num_threads(1)
    with process_group() as world:
        while True:
            function, arguments = connection.recv()
            connection.send(_outcome(function, world, arguments))


def _outcome(function: Callable[..., Any], world: World, arguments: tuple[Any, ...]) -> Any:
    try:
        return function(world, *arguments)
    except Exception as error:
        return error


def on_one_rank(function: Callable[..., Any], *arguments: Any) -> Any:
    """What ``function(world, *arguments)`` returns in a group of this process alone."""
    with process_group() as world:
        return function(world, *arguments)


def exit_code(function: Callable[..., Any], *arguments: Any, seconds: float | None = None) -> int | None:
    """How a process of its own that calls the function ends; killed (-9) after ``seconds``, if any are given."""
    process = CONTEXT.Process(target=function, args=arguments)
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode
