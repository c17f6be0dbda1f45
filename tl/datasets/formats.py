"""The formats that can be read, and detection of the format of a raw record."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tl.datasets.readers import (
    apibank,
    bfcl,
    glaive,
    intercode,
    pairs,
    sharegpt,
    sweagent,
    tau,
    toolace,
    toolalpaca,
    toolbench,
    trl,
)
from tl.trajectory import Notes, Trajectory


@dataclass(frozen=True)
class Format:
    """A format: its name and description, whether a raw record has it, and its conversion to a record of messages."""

    name: str
    what: str
    matches: Callable[[object], bool]
    convert: Callable[[Any, Notes], dict]
    parts: Callable[[Any], Iterable[tuple[str, object]]] | None = None  # the records in a raw one that bundles several


def _is_openai(raw: object) -> bool:
    return isinstance(raw, list) or (isinstance(raw, dict) and "messages" in raw)


def _openai(raw: dict | list, _notes: Notes) -> dict:
    return {"messages": raw} if isinstance(raw, list) else raw


def _no_format(_raw: object, _notes: Notes) -> dict:
    raise ValueError("contains several records, which cannot be read as one")


FORMATS = (  # the first that matches is taken
    Format("tau2", "τ²-bench results: simulations, or runs with requestors", tau.is_tau2, tau.tau2),
    Format("tau2", "", tau.is_results, _no_format, tau.simulations),
    Format("tau", "τ-bench trajectories: traj, reward", tau.is_tau, tau.tau),
    Format("tau", "", tau.is_few_shot, tau.few_shot),
    Format(
        "trl",
        "TRL: prompt with completion, or with chosen and rejected; preferences of OpenAI, LLaMA-Factory, hh-rlhf",
        trl.is_preference,
        trl.preferred,
    ),
    Format("sweagent", "SWE-agent .traj: history with calls or commands", sweagent.is_trajectory, sweagent.trajectory),
    Format("apibank", "API-Bank: one dialogue a file, roles User, AI, API", apibank.is_dialogue, apibank.dialogue),
    Format(
        "openai",
        "messages: OpenAI (tool_calls, function_call), LLaMA-Factory v1, ms-swift, TRL, axolotl, mini-swe-agent, lists",
        _is_openai,
        _openai,
    ),
    Format("toolllama", "ToolLLaMA: a record a step, in Actions", sharegpt.is_toolllama, sharegpt.toolllama),
    Format("toolace", "ToolACE: [Name(key=value), …]", toolace.is_toolace, toolace.toolace),
    Format(
        "agentinstruct",
        "AgentInstruct: Think and Act, loss of each turn",
        sharegpt.is_agentinstruct,
        sharegpt.agentinstruct,
    ),
    Format(
        "sharegpt",
        "conversations of from/value: ShareGPT, LLaMA-Factory, Hermes v1 and reasoning, torchtune",
        sharegpt.is_sharegpt,
        sharegpt.sharegpt,
    ),
    Format("released", "TL-Training: conversations of role/content", sharegpt.is_released, sharegpt.released),
    Format("glaive", "Glaive function calling v2: system, chat", glaive.is_glaive, glaive.glaive),
    Format("xlam", "xLAM-60k: query, answers, tools", pairs.is_xlam, pairs.xlam),
    Format("apibench", "APIBench (Gorilla): code, api_call, api_data", pairs.is_apibench, pairs.apibench),
    Format("nl2bash", "NL2Bash: all.nl with all.cm beside it", pairs.is_nl2bash, pairs.nl2bash),
    Format("toolbench", "ToolBench answers: answer_generation", toolbench.is_answer, toolbench.answer),
    Format("toolbench", "", toolbench.is_evaluation, toolbench.evaluation),
    Format("toolbench", "", toolbench.is_queries, toolbench.queries),
    Format("toolalpaca", "ToolAlpaca: APIs with Instances, or runs of steps", toolalpaca.is_run, toolalpaca.run),
    Format("toolalpaca", "", toolalpaca.is_api, _no_format, toolalpaca.instances),
    Format("intercode", "InterCode results: turn_history", intercode.is_episode, intercode.episode),
    Format("bfcl", "BFCL multi-turn with its possible_answer beside it", bfcl.is_multi_turn, bfcl.multi_turn),
    Format("bfcl", "", bfcl.is_answers, bfcl.answers),
)
NAMES = tuple(dict.fromkeys(known.name for known in FORMATS))


def lines() -> list[str]:
    """The formats as text, one line each."""
    return [f"{known.name:<14} {known.what}" for known in FORMATS if known.what]


def format_of(raw: object) -> Format | None:
    """The format of a raw record; None if it is unknown."""
    return next((known for known in FORMATS if known.matches(raw)), None)


def single_records(place: str, raw: object, name: str | None = None) -> Iterator[tuple[str, object]]:
    """The records within a raw one: itself, the parts that its format bundles, or the values of a map of records
    or of lists of records. Conversations by name are one map per file, since on a line they may be a pair's sides.
    Splits for training and for tests are not read as one set."""
    known = format_of(raw)
    if known and known.parts and name in (None, known.name):
        for part, inner in known.parts(raw):
            yield f"{place}, {part}", inner
        return
    if known is None and isinstance(raw, dict) and not ("train" in raw and raw.keys() & {"test", "validation", "dev"}):
        if isinstance(logs := raw.get("logs"), dict):
            raw = logs
        values = list(raw.values())
        is_map = place in ("the file", "line 1") or not any(map(_is_conversation, values))
        if is_map and values and all(isinstance(v, dict | list) for v in values) and any(map(format_of, values)):
            for key, value in raw.items():
                within = f"{place}, {key!r:.80}"
                if isinstance(value, list) and value and not _is_conversation(value):
                    yield from ((f"{within}, record {at}", record) for at, record in enumerate(value, 1))
                else:
                    yield within, value
            return
    yield place, raw


def _is_conversation(value: object) -> bool:
    """Whether a value is a list that may have a message, so that it is one record."""
    return isinstance(value, list) and any(
        not isinstance(given, dict) or "role" in given or "from" in given for given in value
    )


def read_one(raw: object, default_id: str, notes: Notes, name: str | None = None) -> Trajectory:
    """The trajectory of one raw record, in the named format or in the detected one.

    Raises ValueError with the reason for a record that cannot be used.
    """
    known = format_of(raw)
    if name is not None and (known is None or known.name != name):
        candidates = [known for known in FORMATS if known.name == name]
        known = next((known for known in candidates if known.matches(raw)), candidates[0])
    try:
        record = known.convert(raw, notes) if known else raw
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        what = f"{known.name}: {type(error).__name__}: {error}" if known else error
        raise ValueError(f"cannot be read as a record of {what}") from error
    return Trajectory.from_openai(record, default_id, notes)
