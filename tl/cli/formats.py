"""The formats of data that can be read, a line each; most are told from the content.

python -m tl formats
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tl.config import parse_config
from tl.datasets.formats import lines


@dataclass
class FormatsConfig:
    """`python -m tl formats` has no flags."""


def main(argv: Sequence[str]) -> int:
    """Exit status 0."""
    parse_config(FormatsConfig, argv, __doc__, prog="python -m tl formats")
    print("\n".join(lines()))
    print("\nFiles hold JSON lines, a list or one object, plain or gzip. --data_format names a format.")
    print("Layouts, and what becomes of them: docs/data_formats.md")
    return 0
