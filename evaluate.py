"""Evaluation on held-out requests, greedy: TS (tool), PI (and parameters) and CF (and values), section 4.3.

python evaluate.py                        the newest model under runs/, else the embedded base model
python evaluate.py --model DIR            any checkpoint in Hugging Face layout
python evaluate.py --data FILE …          every right call of trajectory files instead of the generated requests
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from tqdm import tqdm

from tl.assets import TINY
from tl.calls import format_call
from tl.config import option, parse_config
from tl.data import load_items
from tl.metrics import CallScore, wilson_interval
from tl.single_turn import Prepared, percentages, predict, prepare, score
from tl.tokenizer import Tokenizer, TokenizerError
from tl.trajectory import DataError
from tl.weights import CONFIG_FILE, CheckpointError, check_vocabulary, load_model

CHUNK = 64  # items between two updates of the progress bar


@dataclass
class EvaluationConfig:
    """What is evaluated, and on what."""

    model: str | None = option(None, "checkpoint in Hugging Face layout; none: the newest under runs/, or the embedded")
    data: list[str] = option([], "trajectory files, .jsonl or .json, also .gz; none: the generated held-out requests")
    on_bad_data: Literal["error", "skip"] = option("error", "after listing all bad records: stop, or go on without")
    limit: int | None = option(None, "evaluate only the first so many items")
    batch_size: int = option(16, "items generated at a time")
    report: str | None = option(None, "write every prediction with its scores to this JSON file")
    seed: int = option(0, "of the generated requests")


def newest_model(runs: Path) -> Path:
    """The run directory whose model was saved last; the embedded base model when there is none."""
    saved = sorted(runs.glob(f"*/{CONFIG_FILE}"), key=lambda file: file.stat().st_mtime)
    return saved[-1].parent if saved else TINY


def table(scores: list[CallScore]) -> str:
    """The three metrics in percent with their Wilson 95 % intervals."""
    lines = []
    for name, percent in percentages(scores).items():
        low, high = wilson_interval(sum(getattr(s, name) for s in scores), len(scores))
        lines.append(f"{name.upper():<4}{percent:7.2f} %   [{100 * low:.2f}, {100 * high:.2f}]")
    return "\n".join(lines)


def write_report(path: Path, model: Path, prepared: list[Prepared], texts: list[str], scores: list[CallScore]) -> None:
    items = [
        {"id": p.item.id, "prediction": text, "answers": [format_call(a) for a in p.item.answers], **s._asdict()}
        for p, text, s in zip(prepared, texts, scores, strict=True)
    ]
    summary = {"model": str(model), "n": len(items), **percentages(scores), "items": items}
    path.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@torch.no_grad()
def main(argv: list[str] | None = None) -> None:
    config = parse_config(EvaluationConfig, argv, __doc__)
    source = Path(config.model) if config.model else newest_model(Path("runs"))
    model, tokenizer = load_model(source, torch.float32), Tokenizer(source)
    check_vocabulary(tokenizer, model.config)
    items = load_items(config.data, config.on_bad_data, config.seed)[: config.limit]
    prepared = prepare(items, tokenizer, model.config.max_position_embeddings)
    print(f"{source}: {len(prepared):,} of {len(items):,} items fit into {model.config.max_position_embeddings} tokens")
    texts: list[str] = []
    with tqdm(total=len(prepared), desc="generate", unit=" items") as bar:
        for start in range(0, len(prepared), CHUNK):
            texts += predict(model, tokenizer, prepared[start : start + CHUNK], config.batch_size)
            bar.update(len(texts) - bar.n)
    scores = score(prepared, texts)
    print(table(scores))
    if config.report:
        write_report(Path(config.report), source, prepared, texts, scores)


if __name__ == "__main__":
    try:
        main()
    except (CheckpointError, TokenizerError, DataError) as error:
        sys.exit(f"error: {error}")
