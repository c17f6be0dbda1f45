"""Fixtures used by more than one test file."""

from pathlib import Path

import pytest

from tl.tokenizer import Tokenizer, train_vocabulary

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
