"""Lists the data formats that can be read; most are detected from the content.

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
    parse_config(FormatsConfig, argv, __doc__, prog="python -m tl formats")
    print("\n".join(lines()))
    print("\nFiles may hold JSON lines, a JSON list or one JSON object, plain or gzipped. To override detection, use")
    print("--data_format NAME. docs/data_formats.md describes how each format is converted.")
    return 0
