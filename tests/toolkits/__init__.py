"""Toolkits for tests."""

from pathlib import Path

HOSTILE = str(Path(__file__).parent / "hostile.py")
