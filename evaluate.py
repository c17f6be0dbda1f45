"""Evaluates a model: TS, PI and CF of single calls, DE, CE and VA of whole episodes (paper, sections 4 and 5).

    python evaluate.py                                   newest run (or the embedded model) on held-out requests
    python evaluate.py --model runs/sft --suite rotbench --data DIR      a benchmark, from its published files
    python evaluate.py --suite rotbench --data DIR --predictions preds.jsonl   score existing predictions; no model
    python evaluate.py --endpoint URL --endpoint_model NAME --suite …    a model behind an OpenAI-compatible server
    python evaluate.py --model DIR --data FILE …         every correct call in trajectory files
    python evaluate.py --tools my_tools.py --tasks my_tasks.jsonl     your tools and tasks, see docs/tools.md
    python evaluate.py --model DIR --best_of 8 --select vote     the most frequent of eight sampled calls
    python evaluate.py --model DIR --suite every-held-out    all held-out sets and noise levels in one table
    python evaluate.py --compare A/report.json B/report.json     paired differences between two reports
    python evaluate.py --export items.jsonl --suite …            write items and prompts, to run a model elsewhere
    torchrun --nproc_per_node 8 evaluate.py …            split the items over the ranks

Decoding is greedy, except with --best_of. Every prediction is written to --report with its scores and the reason for
them. To resume an interrupted evaluation, run the same command again. The paper's results are printed for comparison
and labelled as such.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from tqdm import tqdm

from tl.assets import TINY
from tl.config import option, parse_config, require
from tl.datasets import AUTO, DATA_FORMAT, ON_BAD_DATA, DataError, OnBadData
from tl.evaluation.answers import answer_items, read_back
from tl.evaluation.compare import compare_reports
from tl.evaluation.error_analysis import name_words
from tl.evaluation.export import check_export, export
from tl.evaluation.journal import Journal, fingerprint
from tl.evaluation.judge import JUDGED, Judge
from tl.evaluation.predictions import read_predictions
from tl.evaluation.report_file import check_report, write_report
from tl.evaluation.results import EpisodeResult, SingleTurnResult, family_lines
from tl.evaluation.suites import EpisodeSuite, Suite, note_too_long, tooleyes
from tl.evaluation.suites.catalogue import DEFAULT, LEVELS, NAMES, read_suites
from tl.evaluation.suites.own import task_suite, trajectory_suite
from tl.files import visible
from tl.forms import Form
from tl.llama.adapter import base_folder
from tl.llama.config import ModelConfig
from tl.llama.sampling import cache_size
from tl.llama.tokenizer import Tokenizer
from tl.llama.weights import CONFIG_FILE, check_vocabulary, load_critic, load_model, read_config
from tl.metrics import Question
from tl.prompt import call_length, encode_prompt, name_ids
from tl.rl.prm import check_prm
from tl.rollout.answers import REFUSALS
from tl.rollout.best_of import BestOfPolicy, Choose, first, majority, most_valued
from tl.rollout.dialogue import Policy
from tl.rollout.endpoint import KEY_VARIABLE, Endpoint, EndpointPolicy
from tl.rollout.episodes import Request
from tl.rollout.options import ToolOptions
from tl.rollout.policy import LlamaPolicy
from tl.synthesis import LIBRARY
from tl.templates import TEMPLATE_HELP, TemplateName, template_line, template_of
from tl.training import distributed
from tl.training.config import MAX_SEED, RunError
from tl.training.distributed import World
from tl.training.loop import run_script
from tl.training.memory import SamplingMemory, count_parameters, sampling_memory, size_lines
from tl.training.run import newest_run, read_checkpoint, show

LONG_TURN = 512  # token limit of a turn
SHORT_TURN = 96  # in generated sets, whose golden calls have at most 70 tokens

TOOLEYES = "tooleyes"  # the only suite that accepts --tools, without --tasks or --mcp

Result = SingleTurnResult | EpisodeResult
Answered = tuple[Suite | EpisodeSuite, list]  # a suite with the predictions or rollouts of its first items


@dataclass
class EvaluationConfig(ToolOptions):
    """Flags of evaluate.py."""

    model: str | None = option(
        None,
        "checkpoint folder in Hugging Face layout (default: the newest finished run in runs/, or the embedded model)",
    )
    template: TemplateName = option("auto", TEMPLATE_HELP)
    suite: list[str] = option([], f"one or more of {', '.join(NAMES)}; {LEVELS} (default: {' '.join(DEFAULT)})")
    data: list[str] = option(
        [], "folder with a benchmark's published files, see docs/evaluation.md; without --suite, trajectory files"
    )
    compare: list[str] = option([], "print the paired differences between two reports of the same items, then exit")
    export: str | None = option(None, "write the items with tools, messages and prompts to this file, then exit")
    predictions: list[str] = option(
        [],
        "score these files or folders of predictions instead of running a model: any number for one suite, or one each",
    )
    format: Form = option("auto", "how calls are written in --predictions, or in an endpoint's plain text")
    endpoint: str | None = option(None, f"URL of an OpenAI-compatible server; the API key is read from {KEY_VARIABLE}")
    endpoint_model: str | None = option(None, "name of the model on --endpoint")
    on_bad_data: OnBadData = option("error", ON_BAD_DATA)
    data_format: str = option(AUTO, DATA_FORMAT)
    judge: str | None = option(None, "URL of an OpenAI-compatible server that judges calls in the toolalpaca suite")
    judge_model: str | None = option(None, "name of the model on --judge")
    limit: int | None = option(None, "evaluate only the first N items of each suite (default: all)", at_least=1)
    episodes: int = option(40, "number of requests in the episodes suite", at_least=1)
    batch_size: int = option(32, "items to process at once; fewer if they are too long to fit", at_least=1)
    max_new_tokens: int | None = option(
        None,
        f"token limit per turn; longer turns count as wrong (default: {LONG_TURN}; {SHORT_TURN} for a local model on "
        "generated requests)",
        at_least=1,
    )
    best_of: int = option(
        1, "sample N answers per turn at temperature 1 and let --select choose one; 1: one greedy answer", at_least=1
    )
    select: Literal["vote", "prm", "none"] = option(
        "vote",
        "how --best_of chooses: the most frequent call (vote) or the answer of highest value (prm); none: sample only "
        "one answer, whatever N is",
    )
    prm: str | None = option(None, "output folder of python -m tl prm, for --select prm")
    refusals: list[str] = option([], "phrases that mark an answer as a refusal (default: printed with the results)")
    report: str = option(
        "runs/evaluation/report.json", "output file for every prediction with its scores and the reason for them"
    )
    seed: int = option(0, "seed of the generated requests", at_least=0, at_most=MAX_SEED)
    dry_run: bool = option(False, "show the number of items and a memory estimate, then exit without evaluating")

    @property
    def turn_tokens(self) -> int:
        """Token limit of a turn."""
        if self.max_new_tokens is not None:
            return self.max_new_tokens
        return LONG_TURN if self.data or self.tasks or self.endpoint else SHORT_TURN

    @property
    def source(self) -> Path:
        """Folder of the local model."""
        return Path(self.model) if self.model else newest_run(Path("runs")) or TINY


def check(config: EvaluationConfig) -> None:
    """Raises UserError for settings that contradict each other."""
    if sum(map(bool, (config.model, config.predictions, config.endpoint))) > 1:
        raise RunError("use only one of --model, --predictions and --endpoint")
    if bool(config.endpoint) != bool(config.endpoint_model):
        raise RunError("--endpoint and --endpoint_model must be given together")
    if bool(config.judge) != bool(config.judge_model):
        raise RunError("--judge and --judge_model must be given together")
    if config.judge and JUDGED not in config.suite:
        raise RunError(f"--judge only judges --suite {JUDGED}")
    if config.format != "auto" and not (config.predictions or config.endpoint):
        raise RunError("--format is for --predictions and --endpoint: a local model's calls have its prompt's form")
    if config.template != "auto" and (config.predictions or config.endpoint):
        raise RunError("--template is for a local model: leave it out with --predictions and --endpoint")
    if config.suite or not config.data:
        for flag in ("on_bad_data", "data_format"):
            if getattr(config, flag) != getattr(EvaluationConfig, flag):
                raise RunError(f"--{flag} is for trajectory files: --data without --suite")
    if config.compare and len(config.compare) != 2:
        raise RunError("--compare takes exactly two reports")
    if config.compare and config != EvaluationConfig(compare=config.compare):
        raise RunError("--compare only reads two reports: leave the other settings out")
    if config.tasks and (config.suite or config.data or config.predictions):
        raise RunError("--tasks cannot be combined with --suite, --data or --predictions")
    if not (config.suite == [TOOLEYES] and config.tools and not config.mcp):
        require(config, "tasks", "tools", "mcp", "allow_network")
    if config.best_of > 1 and (config.endpoint or config.predictions):
        raise RunError("--best_of samples from a local model: leave --endpoint and --predictions out")
    if (config.select == "prm") != bool(config.prm) or (config.prm and config.best_of == 1):
        raise RunError("--select prm needs --prm, and --best_of of at least 2")
    if not all(map(str.strip, config.refusals)):
        raise RunError("--refusals: an empty phrase is in every answer and would make it a refusal")
    if config.suite and len(config.data) > 1:
        raise RunError("with --suite, --data must be a single folder")


def with_notes(suite: EpisodeSuite, lines: Sequence[str]) -> EpisodeSuite:
    return replace(suite, notes=(*suite.notes, *lines))


def load_suites(config: EvaluationConfig) -> list[Suite | EpisodeSuite]:
    """Raises DataError for invalid files and names."""
    if config.tasks:
        executor = config.start_executor(LIBRARY)
        return [with_notes(task_suite(config.tasks, executor), config.tool_lines(executor))]
    if config.data and not config.suite:
        return [trajectory_suite(config.data, config.on_bad_data, config.data_format)]
    folder = Path(config.data[0]) if config.data else None
    if folder and config.suite == [TOOLEYES] and config.tools:
        executor = config.start_executor(())
        return [with_notes(tooleyes.read(folder, executor), config.tool_lines(executor))]
    suites = read_suites(config.suite or DEFAULT, folder, config.seed, config.episodes, config.require_isolation)
    if config.judge and config.judge_model:
        judge = Judge(Endpoint(config.judge, config.judge_model), Path(f"{config.report}.judged.jsonl"))
        return [judge.added_to(s) if isinstance(s, Suite) and s.name == JUDGED else s for s in suites]
    return suites


def items_of(suite: Suite | EpisodeSuite) -> Sequence[Question | Request]:
    return suite.questions if isinstance(suite, Suite) else suite.requests


def make_policy(config: EvaluationConfig, source: Path, world: World) -> tuple[Policy, dict]:
    """The model to evaluate, and the settings that identify it."""
    identity: dict[str, Any]
    if config.endpoint and config.endpoint_model:
        endpoint = Endpoint(config.endpoint, config.endpoint_model)
        identity = {"endpoint": endpoint.url, "model": endpoint.model, "format": config.format}
        return EndpointPolicy(endpoint, config.format, config.batch_size, config.turn_tokens), identity
    model, tokenizer = load_model(source, world.compute_dtype, world.device).eval(), Tokenizer(source, config.template)
    check_vocabulary(tokenizer, model.config)
    base = base_folder(source)
    folders = {source, base, *([Path(config.prm)] if config.prm else [])}
    files = [base / CONFIG_FILE, tokenizer.path, *(file for path in folders for file in path.glob("*.safetensors*"))]
    saved = max(file.stat().st_mtime for file in files)
    identity = {"model": str(source), "saved": saved, "template": template_of(tokenizer).name}
    how = (model, tokenizer, config.batch_size, config.turn_tokens)
    if config.best_of == 1:
        return LlamaPolicy(*how), identity
    drawn = 1 if config.select == "none" else config.best_of  # the other answers would be unused
    policy = BestOfPolicy(*how, drawn, choice(config, tokenizer, world), config.seed)
    return policy, identity | {"drawn": [config.best_of, config.select, config.prm, config.seed]}


def choice(config: EvaluationConfig, tokenizer: Tokenizer, world: World) -> Choose:
    """The function that chooses among the answers, by --select."""
    if config.prm:
        check_prm(Path(config.prm), tokenizer)
        return most_valued(load_critic(config.prm, world.compute_dtype, world.device).eval())
    template = template_of(tokenizer)
    return first if config.select == "none" else majority(lambda a: template.read(tokenizer.decode(a.text_ids)))


def estimate_memory(
    config: EvaluationConfig,
    suites: Sequence[Suite | EpisodeSuite],
    model: ModelConfig,
    tokenizer: Tokenizer,
    dtype: torch.dtype,
) -> SamplingMemory:
    """Memory that generation takes on each rank. An episode may fill the model's context."""
    limit = model.context_length
    lengths = {1}
    for suite in suites:
        if isinstance(suite, EpisodeSuite):
            lengths.update(range(1, limit + 1))
            continue
        for question in suite.questions[: config.limit]:
            prompt = encode_prompt(question.tools, question.messages, tokenizer)
            lengths.add(min(limit, len(prompt) + question.n_calls * config.turn_tokens))
    return sampling_memory(model, cache_size(config.batch_size, lengths, grows=True), dtype.itemsize)


def describe(config: EvaluationConfig, suites: Sequence[Suite | EpisodeSuite], world: World) -> dict[str, list[str]]:
    """Lines with the number of items in each suite and the model's memory."""
    sections = {"items": [f"{suite.name:<20}{len(items_of(suite)[: config.limit]):,}" for suite in suites]}
    if not config.predictions and not config.endpoint:
        model, tokenizer = read_checkpoint(config.source, config.template, dry_run=True)
        sections["tokens"] = [template_line(tokenizer)]
        memory = estimate_memory(config, suites, model, tokenizer, world.compute_dtype)
        sections[f"memory of each rank, {count_parameters(model):,} parameters"] = memory.lines()
        if config.prm:
            weights = count_parameters(read_config(config.prm)) * world.compute_dtype.itemsize
            sections["and of the process reward model"] = size_lines({"weights": weights})
    return sections


def answers_of(
    suite: Suite | EpisodeSuite, policy: Policy, journal: Journal, config: EvaluationConfig, world: World
) -> list:
    """The model's answer to each item, including those of an interrupted evaluation; None where it gave none."""
    n = len(items_of(suite)[: config.limit])
    todo = [index for index in range(n) if index not in journal.done]
    distributed.gather_objects(None, world)  # all ranks have read the journals before the first of them writes
    with (
        distributed.propagate_errors(world),
        tqdm(total=n, initial=n - len(todo), desc=suite.name, unit=" items", disable=not world.is_main) as bar,
    ):
        for index, answer in answer_items(suite, todo[world.rank :: world.size], policy, config.batch_size):
            if answer is not None:
                journal.add(index, answer)
            bar.update(min(world.size, n - bar.n))
        journal.close()
    parts = distributed.gather_objects(journal.done, world)
    merged = {index: answer for part in parts for index, answer in part.items()}
    return read_back(suite, [merged.get(index) for index in range(n)])


def load_predictions(config: EvaluationConfig, suites: Sequence[Suite | EpisodeSuite]) -> list[Answered]:
    """The suites with the predictions read from files. Raises RunError if several suites do not get one file each."""
    files = [Path(file) for file in config.predictions]
    if len(suites) not in (1, len(files)):
        names = ", ".join(suite.name for suite in suites)
        raise RunError(
            f"--predictions needs one file per suite, but got {len(files)} for {len(suites)} suites: {names}"
        )
    answered: list[Answered] = []
    for suite, of_suite in zip(suites, [files] if len(suites) == 1 else [[file] for file in files], strict=True):
        if not isinstance(suite, Suite):
            raise RunError(f"--predictions can only be scored on single turns; {suite.name} consists of whole episodes")
        answered.append((suite, read_predictions(of_suite, suite.questions, config.format, config.limit)))
    return answered


def ask_model(
    config: EvaluationConfig, suites: Sequence[Suite | EpisodeSuite], world: World
) -> tuple[list[Answered], Callable[[str], Sequence], list[Journal]]:
    """The model's answers by suite, a function that splits tool names into its tokens, and the journals that keep the
    answers until the report is written."""
    source = config.source
    policy, identity = make_policy(config, source, world)
    Path(config.report).parent.mkdir(parents=True, exist_ok=True)  # fails before a question is asked
    tokens: Callable[[str], Sequence] = name_words
    if not config.endpoint:
        tokenizer = Tokenizer(source, config.template)
        tokens = partial(name_ids, tokenizer=tokenizer)
        if world.is_main:
            print(template_line(tokenizer))
            if config.best_of > 1:
                print(f"answers             one of {config.best_of} samples per turn, by --select {config.select}")
    answered: list[Answered] = []
    journals = []
    for suite in suites:
        settings = identity | {"max_new_tokens": config.turn_tokens, "items": fingerprint(suite)} | config.sources()
        journals.append(Journal(Path(config.report), suite.name, settings, world.rank))
        if isinstance(suite, Suite) and not config.endpoint:
            suite = note_too_long(suite, config.turn_tokens, partial(call_length, tokenizer=tokenizer))
        answered.append((suite, answers_of(suite, policy, journals[-1], config, world)))
    return answered, tokens, journals


def run(config: EvaluationConfig, world: World) -> int:
    """Exit status: 0, or 1 if some items got no answer."""
    to = config.export
    distributed.on_main(lambda: check_export(Path(to)) if to else check_report(Path(config.report)), world)
    suites = load_suites(config)
    if empty := [suite for suite in suites if not items_of(suite)]:
        raise DataError(f"{empty[0].title}: nothing to evaluate: {'; '.join(empty[0].notes)}")
    if to:
        distributed.on_main(lambda: print(export(suites, Path(to), config.limit)), world)
        return 0
    if config.dry_run:
        show(describe(config, suites, world), world)
        return 0
    answered, tokens, journals = (
        (load_predictions(config, suites), name_words, []) if config.predictions else ask_model(config, suites, world)
    )
    missing = sum(made.count(None) for _, made in answered)
    if missing and missing == sum(len(made) for _, made in answered):
        raise RunError(f"none of {missing} items got an answer, so no report is written: run the same command again")
    if world.is_main:
        results: list[Result] = [
            SingleTurnResult.of(suite, made, tokens)
            if isinstance(suite, Suite)
            else EpisodeResult(suite, made, config.refusals or REFUSALS)
            for suite, made in answered
        ]
        print(visible("\n".join(line for result in results for line in (*result.lines(), ""))))
        print("\n".join(family_lines([result for result in results if isinstance(result, SingleTurnResult)])))
        settings = asdict(config) | {"max_new_tokens": config.turn_tokens}
        write_report(Path(config.report), settings, {result.suite.name: result.to_json() for result in results})
        print(f"every prediction with its scores and the reason for them: {config.report}")
        if missing:
            print(f"{missing} items got no answer; run the same command again to retry them", file=sys.stderr)
        else:
            for journal in journals:
                journal.remove()
    return 1 if missing else 0


def main(argv: list[str] | None = None) -> int:
    config = parse_config(EvaluationConfig, argv, __doc__)
    check(config)
    if config.compare:
        print(visible("\n".join(compare_reports(*map(Path, config.compare)))))
        return 0
    with distributed.process_group() as world:
        return run(config, world)


if __name__ == "__main__":
    run_script(main, interrupted="interrupted; run the same command again to resume")
