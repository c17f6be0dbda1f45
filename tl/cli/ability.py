"""General ability (paper, Figure 5): MMLU, GSM8K and HumanEval of a base model and of what was tuned from it.

    python -m tl ability BASE TUNED --data DIR                        all three, the difference item by item
    python -m tl ability MODEL --suite gsm8k --data DIR --limit 100   one model on 100 items

Models are read as they are, without a prompt form; greedy. DIR holds the sets as they are released, which are not part
of this project: test/SUBJECT_test.csv and dev/SUBJECT_dev.csv (MMLU), test.jsonl and train.jsonl (GSM8K),
HumanEval.jsonl. docs/general_ability.md says how each is asked and scored.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tqdm import tqdm

from tl.config import option, parse_config
from tl.datasets import DataError
from tl.evaluation.ability import evaluate, limited
from tl.evaluation.suites import gsm8k, humaneval, mmlu
from tl.evaluation.suites.general import TextResult, TextSuite, lines, to_json
from tl.executor.machines import MachineError, Machines
from tl.files import unwritable, visible, write_whole
from tl.llama.tokenizer import Tokenizer, TokenizerError
from tl.llama.weights import CheckpointError, load_model
from tl.training.distributed import process_group

READERS = {"mmlu": mmlu.read, "gsm8k": gsm8k.read, "humaneval": humaneval.read}


@dataclass
class AbilityConfig:
    """Flags of `python -m tl ability`."""

    models: list[str] = option([], "checkpoints in Hugging Face layout; the first is the base", positional=True)
    suite: list[str] = option(list(READERS), f"one or more of {', '.join(READERS)}")
    data: str = option("", "folder that holds the files of the suites")
    shots: int | None = option(None, "worked examples before each item of MMLU and GSM8K (default: 5)", at_least=0)
    max_new_tokens: int | None = option(None, "longest answer of GSM8K and HumanEval (default: 512)", at_least=1)
    limit: int | None = option(None, "only so many items of each suite, evenly spread", at_least=1)
    batch_size: int = option(16, "answers that are written at a time", at_least=1)
    report: str = option("runs/ability/report.json", "output file: every answer and how it was graded")


def main(argv: Sequence[str]) -> int:
    """Exit status 0, or 2 when something cannot be read or run."""
    config = parse_config(AbilityConfig, argv, __doc__, prog="python -m tl ability")
    try:
        run(config)
    except (CheckpointError, TokenizerError, DataError, MachineError, OSError) as error:
        print(f"error: {visible(str(error))}", file=sys.stderr)
        return 2
    return 0


def run(config: AbilityConfig) -> None:
    suites = read_suites(config)
    if nearest := unwritable(Path(config.report).parent):
        raise DataError(f"--report {config.report}: {nearest} is not a folder that can be written to")
    results: dict[str, list[TextResult]] = {suite.name: [] for suite in suites}
    with process_group() as world:
        for name in config.models:
            model, tokenizer = load_model(name, world.compute_dtype, world.device).eval(), Tokenizer(name)
            for suite in suites:
                with tqdm(total=len(suite.items), desc=f"{name} {suite.name}", unit=" items") as bar:
                    result = evaluate(suite, model, tokenizer, name, config.batch_size, bar.update)
                results[suite.name].append(result)
                write_report(config, suites, results)
    for suite in suites:
        print("\n".join([*lines(suite, results[suite.name]), ""]))
    print(f"every answer and how it was graded: {config.report}")


def read_suites(config: AbilityConfig) -> list[TextSuite]:
    """Raises DataError for settings that do not go together and for bad files, MachineError where HumanEval's programs
    could not be isolated."""
    if unknown := [name for name in config.suite if name not in READERS]:
        raise DataError(f"no suite {unknown[0]}; there are {', '.join(READERS)}")
    if not config.models or not config.data:
        raise DataError("name a model or more, and with --data the folder that holds the files of the suites")
    if len(set(config.models)) < len(config.models):
        raise DataError("a model is named twice")
    if "humaneval" in config.suite:
        Machines().close()  # before hours of writing, not after them
    suites = []
    for name in dict.fromkeys(config.suite):
        suite = READERS[name](Path(config.data), None if name == "humaneval" else config.shots)
        if suite.max_new_tokens and config.max_new_tokens:
            suite = replace(suite, max_new_tokens=config.max_new_tokens)
        suites.append(limited(suite, config.limit))
    return suites


def write_report(config: AbilityConfig, suites: Sequence[TextSuite], results: dict[str, list[TextResult]]) -> None:
    asked = {suite.name: to_json(suite, results[suite.name]) for suite in suites if results[suite.name]}
    Path(config.report).parent.mkdir(parents=True, exist_ok=True)
    report = {"config": asdict(config), "suites": asked}
    write_whole(Path(config.report), json.dumps(report, indent=1, ensure_ascii=False) + "\n")
