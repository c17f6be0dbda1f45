"""Applies MAE for other trainers: writes OpenAI messages in which each assistant turn says whether to train on it.

    python -m tl label data.jsonl --out labelled.jsonl                 adds `weight`, 0 or 1 (OpenAI, axolotl)
    python -m tl label data.jsonl --out labelled.jsonl --style loss    adds `loss`, true or false (ms-swift)
    python -m tl label data.jsonl --out labelled.jsonl --style last    writes one record per correct turn

Turns that should not be trained also get a `why`. --html shows all turns on a web page. The output can be read back by
train_sft.py with the same weights.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tl.assets import TINY
from tl.cli.convert import ConvertConfig, check, print_notes, trajectories, write_records
from tl.config import option, parse_config, require
from tl.datasets import ReadReport
from tl.datasets.label import Style, labelled
from tl.datasets.mix import split_share
from tl.files import check_different, check_output, write_whole
from tl.llama.tokenizer import Tokenizer
from tl.prompt import EncodingOptions
from tl.report.figures import WHOLE
from tl.report.samples import page
from tl.report.views import view
from tl.trajectory import Trajectory


@dataclass
class LabelConfig(ConvertConfig):
    style: Style = option(
        "weight", "key that marks the turns to train on; last: write one record for each of these turns instead"
    )
    html: str | None = option(None, "also write a web page that shows the turns and their labels to this file")
    samples: int = option(50, "number of trajectories on the web page", at_least=1)
    tokenizer: str | None = option(
        None,
        "tokenizer.model, tokenizer.json or checkpoint folder that the web page shows tokens of (default: the embedded "
        "one)",
    )


def main(argv: Sequence[str]) -> int:
    config = parse_config(LabelConfig, argv, __doc__, prog="python -m tl label")
    counts: Counter[str] = Counter()
    check(config)
    if config.html:
        check_output(config.html, config.overwrite, (split_share(name)[0] for name in config.files))
        check_different(config.out, html=config.html)
    require(config, "html", "samples", "tokenizer")
    tokenizer = Tokenizer(config.tokenizer or TINY)
    report, shown = ReadReport(), list[Trajectory]()
    found = _keep(trajectories(config, report), shown, config.samples if config.html else 0)
    written = write_records(config, _records(found, config.style, counts))
    if config.html:
        write_whole(Path(config.html), _page(shown, tokenizer, config.files))
    print_notes(report)
    print(f"{written:,} records in {config.out}")
    print(f"turns to train on   {counts.pop('trained', 0):,}")
    split = counts.pop("split", 0)
    for reason, count in counts.most_common():
        print(f"turns of weight 0   {count:,} {reason}")
    if split:
        print(f"messages split      {split:,} whose calls have different labels")
    return 0


def _keep(found: Iterable[Trajectory], shown: list[Trajectory], most: int) -> Iterator[Trajectory]:
    """Yields the trajectories and copies the first ones to `shown`."""
    for trajectory in found:
        if len(shown) < most:
            shown.append(trajectory)
        yield trajectory


def _records(found: Iterable[Trajectory], style: Style, counts: Counter[str]) -> Iterator[dict]:
    for trajectory in found:
        records, split = labelled(trajectory, style)
        counts["split"] += split
        for record in records:
            said = [m for m in record["messages"] if m["role"] == "assistant"]
            counts.update(m.get("why") or "trained" for m in (said[-1:] if style == "last" else said))
            yield record


def _page(shown: Sequence[Trajectory], tokenizer: Tokenizer, files: Sequence[str]) -> str:
    views = (view(t, tokenizer, EncodingOptions(max_length=WHOLE)) for t in shown)
    return page([made for made in views if made], title=", ".join(Path(name).name for name in files))
