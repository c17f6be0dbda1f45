"""Shows training samples: masked calls in grey, key tokens with their weights, the stop token, each token's loss.

    python -m tl show                                  the first sample with a masked call in the default training set
    python -m tl show trajectories.jsonl --number 7    the eighth trajectory; or use --id ID or --random
    python -m tl show --model runs/sft                 with that run's settings and the model's loss on each token
    python -m tl show data.jsonl --html out.html       many samples on one self-contained web page

If --model is a run, samples are encoded with its settings, otherwise with train_sft.py's defaults for the model. Key
tokens are printed as the vocabulary spells them (▁ is the space before a word), in brackets if the output has no
colours (a pipe, or NO_COLOR). Control characters in the data are escaped.
"""

import os
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

from tl.assets import TINY
from tl.config import option, parse_config, require
from tl.datasets import AUTO, DATA_FORMAT, ON_BAD_DATA, OnBadData, read
from tl.datasets.mix import split_share
from tl.errors import UserError
from tl.files import check_output, visible, write_whole
from tl.llama.tokenizer import Tokenizer
from tl.llama.weights import CONFIG_FILE, check_vocabulary, load_model
from tl.mae import erroneous_calls
from tl.prompt import EncodingOptions
from tl.report.datasets import encoding_options
from tl.report.runs import read_object
from tl.report.samples import page
from tl.report.views import SampleView, TokenView, TurnView, counted, view
from tl.synthesis import synthesize
from tl.templates import TEMPLATE_HELP, TemplateName
from tl.training.config import SFTConfig, parse_for_model
from tl.training.run import SETTINGS_FILE
from tl.trajectory import Trajectory

DEFAULT_SET = "default training set"
UNSURE = 0.7  # nats: the model gives the token less than an even chance
LOST = 3.0  # nats: less than 5 %


@dataclass
class ShowConfig:
    files: list[str] = option([], "trajectory files (default: the default training set)", positional=True)
    id: str | None = option(None, "show the trajectory with this id")
    number: int | None = option(None, "show the trajectory with this index, counted from 0")
    random: bool = option(False, "choose trajectories at random")
    seed: int = option(0, "seed of the random choice and of the default training set")
    model: str | None = option(None, "run or checkpoint folder of a model whose loss on each token is shown")
    tokenizer: str | None = option(
        None,
        "tokenizer.model, tokenizer.json or checkpoint folder (default: the tokenizer of --model, or the embedded one)",
    )
    template: TemplateName = option("auto", TEMPLATE_HELP)
    max_length: int | None = option(
        None, "maximum tokens in a trajectory; longer ones are cut after a turn (default: as in training)", at_least=2
    )
    on_bad_data: OnBadData = option("skip", ON_BAD_DATA)
    data_format: str = option(AUTO, DATA_FORMAT)
    html: str | None = option(None, "write a web page to this file instead of printing")
    samples: int = option(50, "number of samples on the web page", at_least=1)
    overwrite: bool = option(False, "replace an existing web page")


class Style:
    """Adds ANSI colour codes to text, or none if the output has no colours."""

    CODES = {
        "context": "2",
        "masked": "90",
        "bad": "31",
        "key": "1;36",
        "weight": "36",
        "stop": "32",
        "title": "1",
        "unsure": "33",
        "lost": "4;31",
    }

    def __init__(self, colour: bool) -> None:
        self.colour = colour

    def __call__(self, name: str, text: str) -> str:
        if not self.colour:
            return text
        # Line by line, so that a pager that shows a part of the text shows its colours.
        return "\n".join(line and f"\x1b[{self.CODES[name]}m{line}\x1b[0m" for line in text.split("\n"))


def terminal(sample: SampleView, style: Style) -> str:
    """The sample as text for a terminal; without colours, key tokens are in brackets."""
    text = style("title", f"── {visible(sample.id)}") + "\n   " + " · ".join(sample.facts()) + "\n\n"
    for part in sample.parts:
        text += style("context", visible(part)) if isinstance(part, str) else _turn(part, sample.end, style)
    return text + "\n"


def _turn(turn: TurnView, end: str, style: Style) -> str:
    """A turn as text; `end` as in SampleView. If `end` is empty, a space separates the stop token."""
    if not turn.trained:
        said = "".join(token.text for token in turn.tokens[:-1]) + end
        return style("masked", visible(said)) + style("bad", f"   ✗ masked: {turn.category}")
    text = "".join(_token(token, style) for token in turn.tokens[:-1])
    stop = turn.tokens[-1]
    text += ("" if end else " ") + style("stop", stop.text)
    text += style("weight", f"×{stop.weight:.3g}") if stop.is_key else ""
    unsure = [(t.loss, t.piece) for t in turn.tokens if t.loss is not None and t.loss > UNSURE]
    if unsure:
        unsure.sort(key=itemgetter(0), reverse=True)
        listed = ", ".join(f"{visible(piece)} {loss:.2f}" for loss, piece in unsure[:5])
        text += style("unsure", f"   unsure of: {listed}")
    return text


def _token(token: TokenView, style: Style) -> str:
    if token.is_key:
        piece = visible(token.piece)
        return (style("key", piece) if style.colour else f"[{piece}]") + style("weight", f"×{token.weight:.3g}")
    text = visible(token.text)
    if token.loss is None or token.loss <= UNSURE:
        return text
    return style("lost" if token.loss > LOST else "unsure", text)


def main(argv: Sequence[str]) -> int:
    config = parse_config(ShowConfig, argv, __doc__, prog="python -m tl show")
    check(config)
    samples = list(load(config))
    if not samples:
        raise UserError("nothing to show: no assistant turn fits within --max_length")
    if config.html:
        title = ", ".join(Path(f).name for f in config.files) or DEFAULT_SET
        write_whole(Path(config.html), page(samples, title=title))
        print(f"{counted(len(samples), 'sample')} in {config.html}")
    else:
        style = Style(colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ)
        print("\n".join(terminal(sample, style) for sample in samples))
    return 0


def check(config: ShowConfig) -> None:
    """Raises UserError for flags that contradict each other, and for a page that must not be written."""
    if (config.id is not None) + (config.number is not None) + config.random > 1:
        raise UserError("--id, --number and --random each choose a trajectory: use only one of them")
    require(config, "html", "samples", "overwrite")
    require(config, "files", "on_bad_data", "data_format")
    if config.html:
        check_output(config.html, config.overwrite, (split_share(name)[0] for name in config.files))


def load(config: ShowConfig) -> Iterator[SampleView]:
    """Yields the samples to show; each is tokenised (and run through the model) only when needed."""
    tokenizer = Tokenizer(config.tokenizer or config.model or TINY, config.template)
    model = load_model(config.model) if config.model else None
    if model is not None:
        check_vocabulary(tokenizer, model.config)
    if config.files:
        trajectories, report = read(config.files, config.on_bad_data, data_format=config.data_format, seed=config.seed)
        for line in report.skipped_lines():
            print(line, file=sys.stderr)
        if not trajectories:
            raise UserError("nothing to show: every record is bad")
    else:
        trajectories = synthesize(seed=config.seed)
    options = encoding_options(training_settings(Path(config.model or config.tokenizer or TINY)))
    if config.max_length is not None:
        options = replace(options, max_length=config.max_length)
    for trajectory in choose(trajectories, config):
        sample = view(trajectory, tokenizer, options, model)
        if sample is not None:
            yield sample


def training_settings(source: Path) -> dict[str, Any]:
    """Settings of the fine-tuning run in this folder; for any other model, train_sft.py's defaults for it."""
    notes: list[str] = []
    settings = read_object(source / SETTINGS_FILE, notes)
    for note in notes:
        print(note, file=sys.stderr)
    if settings.keys() >= EncodingOptions.__dataclass_fields__.keys():
        return settings
    return asdict(parse_for_model(SFTConfig, [], source) if (source / CONFIG_FILE).is_file() else SFTConfig())


def choose(trajectories: Sequence[Trajectory], config: ShowConfig) -> Sequence[Trajectory]:
    """One trajectory, or `config.samples` of them for a page. Raises UserError if there is no such trajectory."""
    if config.id is not None:
        found = [t for t in trajectories if t.id == config.id]
        if not found:
            raise UserError(f"no trajectory has the id {config.id!r}")
        return found
    if config.number is not None:
        if not 0 <= config.number < len(trajectories):
            raise UserError(
                f"--number {config.number} does not exist: trajectories are numbered 0 to {len(trajectories) - 1}"
            )
        return [trajectories[config.number]]
    count = config.samples if config.html else 1
    if config.random:
        return random.Random(config.seed).sample(trajectories, min(count, len(trajectories)))
    if config.html:
        return trajectories[:count]
    return [next((t for t in trajectories if any(erroneous_calls(t))), *trajectories[:1])] if trajectories else []
