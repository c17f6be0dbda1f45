"""Settings of a run that do not affect what is learned, settings of every training, settings of SFT, and checks.

The defaults are the paper's. A model shaped like the embedded one has different defaults (``embedded=``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

from tl.assets import TINY
from tl.config import option, parse_config, preset
from tl.datasets import AUTO, DATA_FORMAT, ON_BAD_DATA, OnBadData
from tl.errors import UserError
from tl.llama.adapter import base_folder, is_adapter
from tl.llama.lora import LINEAR_LAYERS, LinearLayer, LoRA
from tl.llama.weights import read_config
from tl.templates import TEMPLATE_HELP, TemplateName
from tl.training.distributed import Checkpointing

MAX_SEED = 2**20  # so that all seeds derived from it fit into 64 bits
MAX_BETA = 1 - 2**-53  # the largest number below 1
WEIGHT_DECAY = "AdamW weight decay, applied to matrices only"
EVAL_EVERY = "evaluate on held-out requests every N steps; 0: not during training"
PRESET_RULE = """
Defaults marked "embedded model" apply to models with the embedded model's config.json. Defaults marked "LoRA" apply to
other models when --lora_rank is set.
"""


class RunError(UserError):
    """A run cannot start or continue; the message says what to do."""


@dataclass(kw_only=True)
class RunConfig:
    """Settings that do not affect what is learned (micro-batches change only rounding), so they may change when a run
    is resumed."""

    script: ClassVar[str]  # the script that takes these settings
    out: str
    overwrite: bool = option(False, "replace an existing run in --out")
    resume: bool = option(
        False, "continue the run in --out from its newest complete state; start from scratch if there is none"
    )
    allow_changes: bool = option(False, "resume even if other settings or the data have changed")
    save_every: int = option(
        100, "save a state to resume from every N steps; 0: only when a signal stops the run", at_least=0
    )
    keep: int = option(2, "number of states to keep; each takes 12 bytes per trained parameter", at_least=1)
    micro_tokens: int = option(
        8192, "maximum tokens in a micro-batch, which is one forward pass", embedded=4096, at_least=1
    )
    checkpointing: Checkpointing = option(
        "full", "activations to recompute in the backward pass, which saves memory", embedded="none"
    )
    eval_every: int = option(100, EVAL_EVERY, at_least=0)
    eval_items: int = option(
        64, "number of held-out requests in evaluations during training, and for the evaluation loss", at_least=1
    )
    dry_run: bool = option(False, "show settings, data and memory estimate, then exit without training")


@dataclass(kw_only=True)
class TrainingConfig(RunConfig):
    """Settings of every training. Fields without a default get their default and help text in each subclass."""

    model: str | None
    template: TemplateName = option("auto", TEMPLATE_HELP)
    data: list[str]
    eval_data: list[str] = option(
        [], "held-out trajectory files to evaluate on (default: generated requests; no evaluation if --data is given)"
    )
    on_bad_data: OnBadData = option("error", ON_BAD_DATA)
    data_format: str = option(AUTO, DATA_FORMAT)
    lora_rank: int = option(0, "train only LoRA adapters of this rank; 0: train all weights", at_least=0)
    lora_alpha: float | None = option(
        None, "LoRA alpha: adapter outputs are scaled by alpha / rank (default: twice the rank)", positive=True
    )
    lora_on: list[LinearLayer] = option(list(LINEAR_LAYERS), "layers that get LoRA adapters, in every block")
    weight_decay: float = option(0.0, WEIGHT_DECAY, at_least=0)
    beta2: float = option(0.95, "AdamW beta2, the decay of the second moment", at_least=0, at_most=MAX_BETA)
    max_grad_norm: float = option(1.0, "clip the gradient to this norm", positive=True)
    epochs: float
    max_steps: int | None = option(None, "stop after this many steps (default: set by --epochs)", at_least=1)
    batch_size: int
    max_length: int
    seed: int

    @property
    def lora(self) -> LoRA | None:
        """The adapters to train; None if all weights are trained."""
        if self.lora_rank == 0:
            return None
        return LoRA(self.lora_rank, self.lora_alpha or 2.0 * self.lora_rank, tuple(self.lora_on))

    def models(self) -> list[str]:
        """The folders of the models that the run reads."""
        return [self.model or str(TINY)]

    @classmethod
    def free(cls) -> set[str]:
        """Names of the settings that may change when a run is resumed."""
        return set(RunConfig.__dataclass_fields__)


@dataclass
class SFTConfig(TrainingConfig):
    """Settings of train_sft.py."""

    script: ClassVar[str] = "train_sft.py"
    out: str = option(
        "runs/sft", "output folder for the model, metrics.jsonl, run_config.json and states to resume from"
    )
    model: str | None = option(None, "checkpoint folder in Hugging Face layout (default: the embedded tiny base model)")
    data: list[str] = option(
        [], "training data files, optionally with shares (a.jsonl:0.4 b.json:0.6) (default: generated data)"
    )
    cache: str | None = option(
        None,
        "folder where prepared data is kept for reuse, or 'none' to keep nothing (default: .prepared next to --out)",
    )
    mae: bool = option(True, "mask erroneous calls (MAE)")
    pkt: bool = option(True, "give key tokens a higher weight (PKT)")
    w_max: float = option(9.0, "maximum weight of a key token", at_least=1)
    norm: Literal["call", "sum"] = option(
        "call",
        "how the loss is averaged; call: every call or text turn counts the same; sum: the sum of weight x loss of all "
        "trained tokens, divided by their number",
    )
    learning_rate: float | None = option(
        None,
        "peak learning rate, reached by linear warm-up and followed by cosine decay to 0 (default: the released code's "
        "1e-6 times the number of trained turns per step / 4)",
        embedded=1e-3,
        lora=1e-4,
        at_least=0,
    )
    embedding_lr_ratio: float = option(
        1.0,
        "learning rate of the token embeddings and the output head, as a fraction of that of the other weights; LoRA "
        "leaves both as they are",
        embedded=0.03,
        at_least=0,
    )
    initial_share: float = option(
        0.0,
        "share of the initial weights in the saved model; 0.15 saves 0.85 x trained + 0.15 x initial and keeps more of "
        "what the model could do before",
        embedded=0.15,
        at_least=0,
        at_most=1,
    )
    warmup_ratio: float = option(0.01, "fraction of the steps used for warm-up", embedded=0.05, at_least=0, at_most=1)
    weight_decay: float = option(0.01, WEIGHT_DECAY, at_least=0)
    epochs: float = option(1.0, "number of passes over the data", positive=True)
    max_steps: int | None = option(
        None,
        "stop after this many steps, and end the learning-rate schedule there (default: set by --epochs)",
        at_least=1,
    )
    batch_size: int = option(
        4, "trajectories per optimizer step, over all ranks and micro-batches", embedded=2, at_least=1
    )
    eval_every: int = option(100, EVAL_EVERY, embedded=400, at_least=0)
    max_length: int = option(
        8192, "maximum tokens in a trajectory; longer ones are cut after a turn", embedded=1536, at_least=2
    )
    max_feedback_tokens: int = option(
        2048, "maximum tokens in one tool feedback; longer feedback is cut in the middle", at_least=2
    )
    seed: int = option(0, "seed of the data order and of the generated data", at_least=0, at_most=MAX_SEED)

    @classmethod
    def free(cls) -> set[str]:
        return super().free() | {"cache"}


C = TypeVar("C", bound=TrainingConfig)


def resolve_config(argv: Sequence[str] | None = None, description: str = "") -> SFTConfig:
    """Settings from train_sft.py's command line. Raises RunError if they contradict each other."""
    model = parse_config(SFTConfig, argv, description + PRESET_RULE).model
    config = parse_for_model(SFTConfig, argv, Path(model or TINY))
    check_settings(config)
    return config


def parse_for_model(config: type[C], argv: Sequence[str] | None, model: Path) -> C:
    """Settings from the command line on top of the defaults: those of the embedded model if the model has its
    config.json, otherwise those of LoRA if adapters are requested."""
    if read_config(model) == read_config(TINY):
        return parse_config(config, argv, **preset(config))
    return parse_config(config, argv, **(preset(config, "lora") if parse_config(config, argv).lora else {}))


def check_settings(config: TrainingConfig, *reads: str | None) -> None:
    """Raises RunError if the run would write to a folder that it reads, ``reads`` beside model and data, or if LoRA
    settings contradict each other."""
    if config.lora is None and (config.lora_alpha is not None or config.lora_on != list(LINEAR_LAYERS)):
        raise RunError("--lora_alpha and --lora_on need --lora_rank, which turns adapters on")
    if config.lora is not None and config.model and is_adapter(config.model):
        raise RunError(
            f"{config.model} is an adapter, but --lora_rank needs a full model. A LoRA run saves both: pass its --out, "
            "or merge the adapter and save the result with tl.llama.save_model(load_model(ADAPTER), FOLDER)"
        )
    out = Path(config.out).resolve()
    models = [path for path in (config.model, *reads) if path]
    bases = [str(base_folder(path)) for path in models]  # of adapters
    for path in [*models, *bases, *config.data, *config.eval_data]:
        if Path(path).resolve().is_relative_to(out):
            raise RunError(f"{path} is inside --out {config.out}, which the run writes to: choose another --out")
