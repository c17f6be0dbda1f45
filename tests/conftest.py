"""Fixtures used by more than one test file."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from checkpoints import SHARDED, make_model
from ranks import Ranks
from runs import record

from tl.executor.machines import MachineError, Machines
from tl.llama import Llama, ModelConfig, Tokenizer, save_model
from tl.llama.tokenizer import train_vocabulary

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real datasets kept beside the repository during development; tests that need them skip without."""
    path = REPO.parent / "shared"
    if not (path / "data").is_dir():
        pytest.skip("needs ../shared/data, which is not here")
    return path


@pytest.fixture(scope="session")
def small_tokenizer(tmp_path_factory) -> Tokenizer:
    """A vocabulary of 400 pieces trained on a few lines of prompt-like text: bytes, characters, short merges."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    line = 'System: User: Assistant: Output: search_news(query="cats", limit=3) finish(answer="done") {"error": null}'
    alphabet = "".join(chr(code) for code in range(ord("!"), ord("~") + 1))
    train_vocabulary([line] * 20 + [f"        {alphabet}"], path, 400)
    return Tokenizer(path)


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    """Machines whose programs are root of a folder of their own; skipped where this one does not permit it."""
    try:
        with Machines(own_root=True, workers=1) as made:
            yield made
    except MachineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def two_ranks() -> Iterator[Ranks]:
    """Two warm processes in a gloo group (see ``Ranks.run``)."""
    ranks = Ranks(2)
    yield ranks
    ranks.close()


@pytest.fixture(scope="session")
def eight_ranks() -> Iterator[Ranks]:
    """Eight of them, as on a machine with eight GPUs."""
    ranks = Ranks(8)
    yield ranks
    ranks.close()


@pytest.fixture(scope="session")
def toy_sft(tmp_path_factory, small_tokenizer) -> Path:
    """A folder with a random model of two small blocks, `model`, and twelve trajectories, `data.jsonl`."""
    folder = tmp_path_factory.mktemp("toy")
    torch.manual_seed(0)
    model = Llama(ModelConfig(small_tokenizer.vocab_size, 16, 24, 2, 2, 2, 8, 4096, tie_word_embeddings=True))
    save_model(model, folder / "model", small_tokenizer.path)
    (folder / "data.jsonl").write_text("".join(json.dumps(record(number)) + "\n" for number in range(12)))
    return folder


@pytest.fixture
def saved(tmp_path) -> Path:
    """A folder with a model in a single file."""
    save_model(make_model(), tmp_path)
    return tmp_path


@pytest.fixture
def sharded(tmp_path) -> Path:
    """A folder with a model in several files."""
    save_model(make_model(), tmp_path, shard_bytes=SHARDED)
    return tmp_path
