"""Settings: those that every run has, those of both trainings, those of SFT; and the checks of their values.

The defaults are the paper's. A model of the embedded one's shape has defaults of its own (``embedded=``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

from tl.assets import TINY
from tl.config import option, parse_config, preset
from tl.datasets import AUTO, DATA_FORMAT
from tl.llama.adapter import is_adapter
from tl.llama.lora import LINEAR_LAYERS, LinearLayer, LoRA
from tl.llama.weights import read_config
from tl.templates import TEMPLATE_HELP, TemplateName
from tl.training.distributed import Checkpointing

MAX_SEED = 2**20  # so that all seeds made of it fit into 64 bits
MAX_BETA = 1 - 2**-53  # the largest number below 1
EVAL_EVERY = "steps between evaluations on held-out requests; 0: none between"
PRESET_RULE = """
For a model whose config.json is the embedded model's, the values shown as "embedded model" are the defaults, and with
--lora_rank, for other models, those shown as "LoRA".
"""


class RunError(RuntimeError):
    """A run that cannot start or go on; the message says what to do."""


@dataclass(kw_only=True)
class RunConfig:
    """How a run is carried out: settings that have no part in what is learned (micro-batches change rounding, no more)
    and may change when it is resumed."""

    script: ClassVar[str]  # that runs with these settings
    out: str
    overwrite: bool = option(False, "replace an existing run")
    resume: bool = option(False, "continue the run in --out from its newest whole state; start it if there is none")
    allow_changes: bool = option(False, "resume although other settings or the data have changed")
    save_every: int = option(100, "steps between states to resume from; 0: only when stopped by a signal", at_least=0)
    keep: int = option(2, "number of states kept, each 12 bytes for every trained parameter", at_least=1)
    micro_tokens: int = option(8192, "tokens of a micro-batch, one forward pass", embedded=4096, at_least=1)
    checkpointing: Checkpointing = option(
        "full", "activations computed again in the backward pass, to save memory", embedded="none"
    )
    eval_every: int
    eval_items: int = option(64, "held-out requests for evaluations during training, and for the loss", at_least=1)
    dry_run: bool = option(False, "show configuration, data and memory, train nothing")


@dataclass(kw_only=True)
class TrainingConfig(RunConfig):
    """The settings of both trainings; those without a default here have another one in each, with its own help."""

    model: str | None
    template: TemplateName = option("auto", TEMPLATE_HELP)
    data: list[str]
    eval_data: list[str] = option([], "held-out trajectory files; none: the generated ones, if --data is not given")
    on_bad_data: Literal["error", "skip"] = option("error", "bad records: stop, naming them, or go on without them")
    data_format: str = option(AUTO, DATA_FORMAT)
    lora_rank: int = option(0, "train adapters of this rank (LoRA) and no other weights; 0: all weights", at_least=0)
    lora_alpha: float | None = option(
        None, "LoRA: adapters count alpha / rank times (default: twice the rank)", positive=True
    )
    lora_on: list[LinearLayer] = option(list(LINEAR_LAYERS), "LoRA: layers that have adapters, in every block")
    weight_decay: float
    beta2: float = option(0.95, "AdamW's second-moment decay", at_least=0, at_most=MAX_BETA)
    max_grad_norm: float = option(1.0, "gradients are scaled down to this norm", positive=True)
    epochs: float
    max_steps: int | None
    batch_size: int
    max_length: int
    seed: int

    @property
    def lora(self) -> LoRA | None:
        """The adapters that are trained; None where all weights are."""
        if self.lora_rank == 0:
            return None
        return LoRA(self.lora_rank, self.lora_alpha or 2.0 * self.lora_rank, tuple(self.lora_on))

    @classmethod
    def free(cls) -> set[str]:
        """The names of the settings that may change when a run is resumed."""
        return set(RunConfig.__dataclass_fields__)


@dataclass
class SFTConfig(TrainingConfig):
    """The settings of train_sft.py."""

    script: ClassVar[str] = "train_sft.py"
    out: str = option("runs/sft", "run directory: the model, metrics.jsonl, run_config.json, states to resume from")
    model: str | None = option(None, "checkpoint in Hugging Face layout; none: the embedded tiny base model")
    data: list[str] = option([], "data files, perhaps with shares (a.jsonl:0.4 b.json:0.6); none: generated")
    cache: str | None = option(
        None, "folder that keeps the prepared data for other runs, or the word none (default: .prepared beside --out)"
    )
    mae: bool = option(True, "mask erroneous calls (MAE)")
    pkt: bool = option(True, "weigh key tokens (PKT)")
    w_max: float = option(9.0, "largest weight of a key token", at_least=1)
    norm: Literal["call", "sum"] = option("call", "each call or text turn counts alike, or each weighted token")
    learning_rate: float | None = option(
        None,
        "peak, after linear warm-up; falls to 0 along a cosine. None: the released code's 1e-6 for steps of 4 right "
        "calls, as many times that as a step has more of them",
        embedded=1e-3,
        lora=1e-4,
        at_least=0,
    )
    warmup_ratio: float = option(0.01, "share of the steps spent on warm-up", embedded=0.05, at_least=0, at_most=1)
    weight_decay: float = option(0.01, "AdamW's, on matrices", at_least=0)
    epochs: float = option(1.0, "passes over the data", positive=True)
    max_steps: int | None = option(None, "stop (and schedule) after this many steps", at_least=1)
    batch_size: int = option(4, "trajectories a step, over all ranks and micro-batches", embedded=2, at_least=1)
    eval_every: int = option(100, EVAL_EVERY, embedded=400, at_least=0)
    max_length: int = option(
        8192, "tokens of a trajectory; what exceeds them is cut at a turn", embedded=1536, at_least=2
    )
    max_feedback_tokens: int = option(
        2048, "tokens of one tool feedback; longer ones are cut in the middle", at_least=2
    )
    seed: int = option(0, "order of the data, and the generated data", at_least=0, at_most=MAX_SEED)

    @classmethod
    def free(cls) -> set[str]:
        return super().free() | {"cache"}


C = TypeVar("C", bound=TrainingConfig)


def resolve_config(argv: Sequence[str] | None = None, description: str = "") -> SFTConfig:
    """The settings that the command line of train_sft.py asks for. Raises RunError where they make no sense."""
    model = parse_config(SFTConfig, argv, description + PRESET_RULE).model
    config = parse_for_model(SFTConfig, argv, Path(model or TINY))
    check_settings(config)
    return config


def parse_for_model(config: type[C], argv: Sequence[str] | None, model: Path) -> C:
    """The command line over the defaults, or over the preset where the model's config.json is the embedded model's, or
    over that of LoRA where it asks for adapters."""
    if read_config(model) == read_config(TINY):
        return parse_config(config, argv, **preset(config))
    return parse_config(config, argv, **(preset(config, "lora") if parse_config(config, argv).lora else {}))


def check_settings(config: TrainingConfig) -> None:
    """Raises RunError where the run would write to a directory that it reads, and for settings of LoRA that make no
    sense."""
    if config.lora is None and (config.lora_alpha is not None or config.lora_on != list(LINEAR_LAYERS)):
        raise RunError("--lora_alpha and --lora_on say how adapters are made: ask for them with --lora_rank")
    if config.lora is not None and config.model and is_adapter(config.model):
        raise RunError(
            f"{config.model} is an adapter; with --lora_rank the model has to be a whole one. A run leaves both: name "
            "its --out, or add the adapter to its model and save that: tl.llama.save_model(load_model(ADAPTER), FOLDER)"
        )
    out = Path(config.out).resolve()
    for path in filter(None, [config.model, *config.data, *config.eval_data]):
        if Path(path).resolve().is_relative_to(out):
            raise RunError(f"{path} lies in --out {config.out}, which the run writes to: choose another --out")
