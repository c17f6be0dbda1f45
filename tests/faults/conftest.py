"""Fixtures used by more than one file of faults."""

from pathlib import Path

import pytest
from runs import arguments

import train_sft


@pytest.fixture(scope="session")
def whole(toy_sft, tmp_path_factory) -> Path:
    """A run of train_sft.py that nothing happens to; the data it has prepared lie beside it."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train_sft.main(arguments(toy_sft, out))
    return out
