"""Measures general ability (paper, Figure 5): MMLU, GSM8K and HumanEval before and after tuning.

    python -m tl ability BASE TUNED --data DIR                        all three suites, with paired differences
    python -m tl ability MODEL --suite gsm8k --data DIR --limit 100   one model on 100 items

Models get plain text without a prompt format and decode greedily. DIR holds the published files, which are not part of
this project: test/SUBJECT_test.csv and dev/SUBJECT_dev.csv (MMLU), test.jsonl and train.jsonl (GSM8K), HumanEval.jsonl.
docs/general_ability.md describes the prompts and the scoring.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tqdm import tqdm

from tl.config import option, parse_config
from tl.datasets import DataError
from tl.evaluation.ability import evaluate, limited
from tl.evaluation.report_file import check_report, write_report
from tl.evaluation.suites import gsm8k, humaneval, mmlu
from tl.evaluation.suites.general import TextResult, TextSuite, lines, to_json
from tl.executor.machines import Machines
from tl.llama.tokenizer import Tokenizer
from tl.llama.weights import load_model
from tl.training.distributed import World
from tl.training.run import alone, read_checkpoint

READERS: dict[str, Callable[[Path, int | None], TextSuite]] = {  # of a folder, and a number of worked examples
    "mmlu": mmlu.read,
    "gsm8k": gsm8k.read,
    "humaneval": lambda data, _shots: humaneval.read(data),
}


@dataclass
class AbilityConfig:
    models: list[str] = option([], "checkpoint folders in Hugging Face layout; the first is the base", positional=True)
    suite: list[str] = option(list(READERS), f"suites to evaluate, one or more of {', '.join(READERS)}")
    data: str = option("", "folder with the published files of the suites (required)")
    shots: int | None = option(None, "worked examples in the prompt of MMLU and GSM8K items (default: 5)", at_least=0)
    max_new_tokens: int | None = option(
        None, "token limit for answers of GSM8K and HumanEval (default: 512)", at_least=1
    )
    limit: int | None = option(None, "evaluate only N items of each suite, evenly spaced (default: all)", at_least=1)
    batch_size: int = option(16, "answers to generate at once", at_least=1)
    report: str = option("runs/ability/report.json", "output file for every answer with its grade")


def main(argv: Sequence[str]) -> int:
    config = parse_config(AbilityConfig, argv, __doc__, prog="python -m tl ability")
    suites = read_suites(config)
    check_report(Path(config.report))
    results: dict[str, list[TextResult]] = {suite.name: [] for suite in suites}
    with alone() as world:
        for name in config.models:
            for suite, result in answers(name, suites, config.batch_size, world):
                results[suite.name].append(result)
                asked = {suite.name: to_json(suite, results[suite.name]) for suite in suites if results[suite.name]}
                write_report(Path(config.report), asdict(config), asked)
    for suite in suites:
        print("\n".join([*lines(suite, results[suite.name]), ""]))
    print(f"every answer with its grade: {config.report}")
    return 0


def read_suites(config: AbilityConfig) -> list[TextSuite]:
    """Raises UserError for contradictory settings, bad files and models, and if HumanEval's programs cannot be
    isolated."""
    if unknown := [name for name in config.suite if name not in READERS]:
        raise DataError(f"unknown suite {unknown[0]}; choose from {', '.join(READERS)}")
    if not config.models or not config.data:
        raise DataError("name at least one model, and the folder with the suites' files with --data")
    if len(set(config.models)) < len(config.models):
        raise DataError("the same model is named twice")
    if "humaneval" in config.suite:
        Machines().close()  # fail before hours of generation, not after
    suites = []
    for name in dict.fromkeys(config.suite):
        suite = READERS[name](Path(config.data), config.shots)
        if suite.max_new_tokens and config.max_new_tokens:
            suite = replace(suite, max_new_tokens=config.max_new_tokens)
        suites.append(limited(suite, config.limit))
    for model in config.models:  # before hours with the first
        read_checkpoint(Path(model), "auto", dry_run=False)
    return suites


def answers(
    name: str, suites: Sequence[TextSuite], batch_size: int, world: World
) -> Iterator[tuple[TextSuite, TextResult]]:
    """The results of a model on each suite. The model leaves memory after the last one."""
    model, tokenizer = load_model(name, world.compute_dtype, world.device).eval(), Tokenizer(name)
    for suite in suites:
        with tqdm(total=len(suite.items), desc=f"{name} {suite.name}", unit=" items") as bar:
            yield suite, evaluate(suite, model, tokenizer, name, batch_size, bar.update)
