"""A run's output folder: checks, settings, states to resume from, the log and the trained model."""

import hashlib
import json
import math
import shlex
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from tl.assets import TINY
from tl.files import sampled_digest, unwritable, write_whole
from tl.llama.adapter import ADAPTER_CONFIG, base_folder, save_adapter
from tl.llama.config import ModelConfig
from tl.llama.lora import merge
from tl.llama.model import Critic, Llama
from tl.llama.tokenizer import Tokenizer
from tl.llama.weights import (
    CONFIG_FILE,
    MODEL_FILES,
    check_vocabulary,
    fitting_tensors,
    read_config,
    save_model,
    write_tokenizer,
)
from tl.templates import template_of
from tl.training.checkpoint import SavedState, load_state, newest_state, save_state
from tl.training.config import RunError, TrainingConfig
from tl.training.distributed import RankError, World, gather, on_main, process_group, propagate_errors
from tl.training.lock import LOCK_FILE

METRICS_FILE = "metrics.jsonl"
SETTINGS_FILE = "run_config.json"
STATES = "states"
ADAPTER = "adapter"
ROLLOUTS_FILE = "rollouts.jsonl"
VALUES_SCRIPT = "python -m tl prm"
ROLLOUTS = "rollouts"
RUN_FILES = (METRICS_FILE, STATES, ADAPTER, ROLLOUTS_FILE, ROLLOUTS, SETTINGS_FILE)


@dataclass
class Progress:
    samples: int = 0  # samples seen over all epochs, which is the position in the data
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0  # spent in training steps
    skipped: int = 0  # number of the latest steps in a row with trouble (see loop.Trouble)
    critic_started: bool = False  # PPO: whether the critic's head has its first value

    def advance(self, samples: int, tokens: int, seconds: float) -> dict[str, float]:
        """Counts a step and returns its entries for the log."""
        self.samples += samples
        self.step += 1
        self.tokens += tokens
        self.seconds += seconds
        return {"step": self.step, "tokens": self.tokens, "tokens_per_second": self.tokens / self.seconds}

    def line(self, samples: str) -> str:
        """A summary line; ``samples`` is the word for samples."""
        seen = f"{self.samples:,} {samples}, {self.tokens:,} tokens"
        return f"seen                {seen} in {self.step:,} steps, {self.seconds:,.0f} s"


@contextmanager
def alone() -> Iterator[World]:
    """A process group of one rank, for commands that run in one process. Raises RunError under torchrun with more."""
    with process_group() as world:
        if world.size > 1:
            raise RunError("this command runs in one process: start one per GPU without torchrun, each with a part")
        yield world


def show(sections: Mapping[str, Sequence[str]], world: World) -> None:
    """Prints lines under titles, on the first rank only."""
    if world.is_main:
        print("\n".join(line for title, lines in sections.items() for line in (f"-- {title}", *lines)), flush=True)


def settings_lines(config: TrainingConfig) -> list[str]:
    return [f"{name:<20}{value}" for name, value in asdict(config).items()]


def read_checkpoint(source: Path, template: str, dry_run: bool) -> tuple[ModelConfig, Tokenizer]:
    """The shape and the tokenizer of the initial model. Raises CheckpointError if they do not fit each other or the
    weights, which are not checked in a dry run, and TokenizerError if the prompt format does not fit."""
    model, tokenizer = read_config(source), Tokenizer(source, template)
    check_vocabulary(tokenizer, model)
    template_of(tokenizer)
    if not dry_run:
        fitting_tensors(source)
    return model, tokenizer


def check_max_length(config: TrainingConfig, model: ModelConfig) -> None:
    """Raises RunError if the model cannot read texts as long as ``max_length``."""
    if config.max_length > model.context_length:
        window = " (its sliding window)" if model.context_length == model.sliding_window else ""
        raise RunError(
            f"--max_length {config.max_length} exceeds the model's context length, {model.context_length}{window}: "
            f"pass --max_length {model.context_length}, or less"
        )


def check_folder(config: TrainingConfig, world: World) -> None:
    """Raises RunError on all ranks if the run cannot be written or would overwrite something."""
    on_main(lambda: None if config.dry_run else _check_folder(config), world)


def _check_folder(config: TrainingConfig) -> None:
    out = Path(config.out)
    if config.resume and config.overwrite:
        raise RunError("--resume continues a run and --overwrite replaces it: use only one of them")
    if nearest := unwritable(out):
        raise RunError(f"--out {out}: {nearest} is not a writable folder")
    if not out.exists() or all(path.name == LOCK_FILE for path in out.iterdir()):
        return
    if not (out / SETTINGS_FILE).exists():
        raise RunError(f"{out} is not empty and not a run: choose another --out")
    if config.resume and is_finished(out):
        raise RunError(f"the run in {out} is already finished: there is nothing to resume")
    if not config.resume and not config.overwrite:
        raise RunError(
            f"{out} already contains a run: use --resume to continue it, --overwrite to replace it, or another --out"
        )


def save_progress(
    config: TrainingConfig,
    progress: Progress,
    model: nn.Module,
    optimizers: Optimizer | Sequence[Optimizer],
    data: str,
    world: World,
) -> None:
    """Saves a state to resume from; ``data`` is the fingerprint of the training data. A failure, such as a full disk,
    is only a warning, since older states still exist."""
    record = {"progress": asdict(progress), "config": asdict(config), "data": data}
    try:
        save_state(Path(config.out) / STATES, progress.step, model, optimizers, record, world, config.keep)
    except (OSError, RankError) as error:
        if world.is_main:
            warnings.warn(f"could not save a state at step {progress.step}: {error}", stacklevel=2)


def restore(saved: SavedState | None, model: nn.Module, optimizers: Optimizer | list[Optimizer]) -> Progress:
    """Restores model and optimizers from the state, if there is one, and returns its progress."""
    if saved is None:
        return Progress()
    load_state(saved, model, optimizers)
    return Progress(**saved.record["progress"])


def open_run(config: TrainingConfig, data: str, world: World) -> SavedState | None:
    """Creates the run's folder and writes the settings to it. Returns the state to resume from, if there is one.

    ``data`` is the fingerprint of the training data. Raises RunError if the data, the settings or the models that
    the run reads have changed: these are not in a state, or not as a whole, such as PPO's reference.
    """
    out = Path(config.out)
    saved = newest_state(out / STATES, world) if config.resume else None
    with propagate_errors(world):
        if world.is_main:
            models = {path: digest_of_model(Path(path)) for path in config.models()}
            if config.resume:
                _check_resumable(out, config, data, models, saved)
            elif config.overwrite:
                _delete_run(out)
            out.mkdir(parents=True, exist_ok=True)
            if (out / METRICS_FILE).exists():
                _cut_metrics(out / METRICS_FILE, saved.record["progress"]["step"] if saved else -1)
            settings = {"script": config.script} | asdict(config) | {"models": models}
            write_whole(out / SETTINGS_FILE, json.dumps(settings, indent=2) + "\n")
    return saved


def is_finished(out: Path) -> bool:
    """Whether the run is complete: it has a model and no states to resume from."""
    return (out / CONFIG_FILE).exists() and not (out / STATES).exists()


def newest_run(runs: Path, script: str | None = None) -> Path | None:
    """The finished run under ``runs`` whose model was saved last, or None; with ``script``, only runs of that script.
    Process reward models, which cannot generate, do not count."""
    finished = [file.parent for file in runs.glob(f"*/{SETTINGS_FILE}") if is_finished(file.parent)]
    made_by = {run: _settings_of(run).get("script") for run in finished}
    candidates = [run for run, made in made_by.items() if made != VALUES_SCRIPT and script in (None, made)]
    return max(candidates, key=lambda run: (run / CONFIG_FILE).stat().st_mtime, default=None)


def _settings_of(run: Path) -> dict[str, Any]:
    """The settings of a run; empty if its file is damaged."""
    try:
        settings = json.loads((run / SETTINGS_FILE).read_bytes())
    except ValueError:
        return {}
    return settings if isinstance(settings, dict) else {}


def save_trained(config: TrainingConfig, model: Llama, tokenizer: Tokenizer, world: World) -> None:
    """Saves the trained model with its prompt format, and also the adapters, if there are any."""
    whole, template = gather(model, world), template_of(tokenizer)
    with propagate_errors(world):
        if whole is not None:
            ends = (whole.config.eos_token_id, *whole.config.other_eos_token_ids)
            if template.end_id not in ends:  # so that other programs end turns at the same token
                whole.config = replace(whole.config, other_eos_token_ids=(*ends[1:], template.end_id))
            chat_template = template.chat_template()

            def save_adapters(folder: Path) -> None:
                save_adapter(whole, folder / ADAPTER, config.model or TINY)
                write_tokenizer(tokenizer, whole.config, chat_template, folder / ADAPTER)

            if config.lora is not None and not isinstance(whole, Critic):  # an adapter cannot hold a critic's head
                _save_where_there_is_room(save_adapters, Path(config.out))
            merged = merge(whole)

            def save(folder: Path) -> None:
                save_model(merged, folder, tokenizer.path, world.compute_dtype, chat_template=chat_template)

            _save_where_there_is_room(save, Path(config.out))


def _save_where_there_is_room(save: Callable[[Path], None], out: Path) -> None:
    """Saves into the run's folder. If there is no space, deletes the run's older states first; if that is not enough,
    saves into a temporary folder, if it fits there, and raises RunError."""
    try:
        return save(out)
    except OSError:
        for state in sorted((out / STATES).glob("step-*"))[:-1]:
            shutil.rmtree(state, ignore_errors=True)
    try:
        return save(out)
    except OSError as error:
        elsewhere = Path(tempfile.mkdtemp(prefix="tl-model-"))
        problem = f"the model could not be saved in {out}: {error}"
        try:
            save(elsewhere)
        except OSError:
            shutil.rmtree(elsewhere, ignore_errors=True)
            raise RunError(f"{problem}. Free some space and continue from the newest state with --resume") from error
        raise RunError(f"{problem}. It was saved in {elsewhere} instead") from error


def close_run(config: TrainingConfig, summary: Sequence[str], world: World) -> None:
    """Deletes the states, and prints the summary and the command for evaluation."""
    if world.is_main:
        shutil.rmtree(Path(config.out) / STATES, ignore_errors=True)
        use = f"--model {shlex.quote(config.out)}"
        if config.script == VALUES_SCRIPT:
            use = f"--model {shlex.quote(config.model or '')} --best_of 8 --select prm --prm {shlex.quote(config.out)}"
        print("\n".join([*summary, f"the model is in {config.out}; to evaluate it:  python evaluate.py {use}"]))


def digest_of_model(model: Path) -> str:
    """A digest of a model's weights and configuration; of an adapter, also of its base's."""
    folders, names = dict.fromkeys([model, base_folder(model)]), ("*.safetensors", CONFIG_FILE, ADAPTER_CONFIG)
    files = sorted(file for folder in folders for name in names for file in folder.glob(name))
    return hashlib.sha256("".join(map(sampled_digest, files)).encode()).hexdigest()


def _check_resumable(
    out: Path, config: TrainingConfig, data: str, models: dict[str, str], saved: SavedState | None
) -> None:
    """Raises RunError if the state has other settings or data, or belongs to other models; warns if there is none."""
    if saved is None:
        warnings.warn(f"{out} has no state to resume from: starting from scratch", stacklevel=2)
        return
    if missing := {"progress", "config", "data"} - saved.record.keys():
        raise RunError(
            f"{saved.path}: the manifest lacks {', '.join(sorted(missing))}: delete this state to use an older one"
        )
    before, now = saved.record["config"] | {"data set": saved.record["data"]}, asdict(config) | {"data set": data}
    free = config.free()
    changes = [f"  {n}: {before.get(n)} -> {now.get(n)}" for n in now if n not in free and before.get(n) != now.get(n)]
    known = _settings_of(out).get("models")
    if not isinstance(known, dict):
        reason = "does not say which models the run started from, so they are not compared"
        warnings.warn(f"{out / SETTINGS_FILE} {reason}", stacklevel=2)
        known = {}
    changes += [f"  the model in {path}" for path in models if known.get(path, models[path]) != models[path]]
    if changes and not config.allow_changes:
        raise RunError(
            "\n".join(
                ["the run was started with different settings:", *changes, "add --allow_changes to continue anyway"]
            )
        )


def _delete_run(out: Path) -> None:
    """Deletes the files of a run from its folder, and no others; the settings last, since they make it a run."""
    for path in [path for pattern in (*MODEL_FILES, *RUN_FILES) for path in out.glob(pattern)]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _step_of(line: str) -> int | None:
    """The step that a line of the log belongs to; None for a damaged line."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return step if isinstance(step, int) else None


def _cut_metrics(path: Path, step: int) -> None:
    """Removes the lines that a run resumed from the state of ``step`` will log again: all after the first line of that
    step. The first line is the step itself; further ones are evaluations. Removes damaged lines, too."""
    kept = []
    for line in path.read_text(errors="replace").splitlines(keepends=True):
        logged = _step_of(line)
        if logged is None:
            warnings.warn(f"{path}: dropped a damaged line: {line.rstrip()[:80]!r}", stacklevel=2)
            continue
        if logged <= step:
            kept.append(line)
        if logged >= step:
            break
    write_whole(path, "".join(kept))


def append_metrics(out: Path, metrics: dict[str, Any]) -> None:
    """Appends a line of JSON to the log; NaN and infinity become null. If the line cannot be written completely, it is
    dropped with a warning."""
    finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in metrics.items()}
    line = (json.dumps(finite) + "\n").encode()
    try:
        with (out / METRICS_FILE).open("ab", buffering=0) as file:
            if (written := file.write(line)) < len(line):
                file.truncate(file.tell() - written)
                raise OSError(f"{out / METRICS_FILE}: no space left")
    except OSError as error:
        warnings.warn(f"could not log metrics: {error}", stacklevel=2)
