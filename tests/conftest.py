"""Fixtures used by more than one test file."""

from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real datasets kept beside the repository during development; tests that need them skip without."""
    path = REPO.parent / "shared"
    if not (path / "data").is_dir():
        pytest.skip("needs ../shared/data, which is not here")
    return path
