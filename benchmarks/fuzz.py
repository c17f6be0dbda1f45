"""Damaged records of every format: each is read or refused with a ValueError, and nothing else happens.

python -m benchmarks.fuzz                 50,000 records of each format
python -m benchmarks.fuzz --times 2000 --seed 1
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import time
from collections import Counter
from collections.abc import Callable

from tl.datasets.formats import read_one, single_records
from tl.mae import call_categories
from tl.trajectory import Trajectory

WEATHER = {"name": "weather", "description": "Of a city.", "parameters": {"city": {"type": "str", "required": True}}}
CALL = '{"name": "weather", "arguments": {"city": "Oslo"}}'
OSLO = 'weather(city="Oslo")'
TOLD = f"Tools:\n{json.dumps([WEATHER])}"


def turns(*pairs: tuple[str, str], **more: object) -> dict:
    return {"conversations": [{"from": role, "value": value} for role, value in pairs]} | more


def weather_turns(call: str, role: str, feedback: str, **more: object) -> dict:
    return turns(("human", "Oslo?"), ("gpt", call), (role, feedback), ("gpt", "Rain."), **more)


GLAIVE_CALL = '<functioncall> {"name": "weather", "arguments": \'{"city": "Oslo"}\'} <|endoftext|>'
V1 = [
    {"role": "user", "content": [{"type": "text", "value": "Oslo?"}]},
    {"role": "assistant", "content": [{"type": "reasoning", "value": "Hm."}, {"type": "tool_call", "value": CALL}]},
    {"role": "tool", "content": [{"type": "text", "value": "rain"}]},
    {"role": "assistant", "content": [{"type": "text", "value": "Rain."}]},
]
OPENAI = [
    {"role": "user", "content": "Oslo?"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "function": json.loads(CALL)}]},
    {"role": "tool", "tool_call_id": "a", "content": "rain"},
    {"role": "assistant", "content": "Rain."},
]
SWIFT = [
    {"role": "user", "content": "Oslo?"},
    {"role": "tool_call", "content": CALL},
    {"role": "tool_response", "content": "rain"},
    {"role": "assistant", "content": "Rain."},
]
HERMES_SYSTEM = f"You call functions. <tools> {[WEATHER | {'required': None}]!r} </tools> Use <tool_call> tags."
SAME = {  # one conversation in many layouts: format and record
    "openai": ("openai", {"tools": [WEATHER], "messages": OPENAI}),
    "llamafactory v1": ("openai", {"tools": json.dumps([WEATHER]), "messages": V1}),
    "ms-swift": ("openai", {"tools": json.dumps([WEATHER]), "messages": SWIFT}),
    "sharegpt": ("sharegpt", {
        **turns(("human", "Oslo?"), ("function_call", CALL), ("observation", "rain"), ("gpt", "Rain.")),
        "tools": json.dumps([WEATHER]),
    }),
    "hermes": ("sharegpt", turns(
        ("system", HERMES_SYSTEM),
        ("human", "Oslo?"),
        ("gpt", f"<think>Hm.</think>\n<tool_call>\n{json.loads(CALL)!r}\n</tool_call>"),
        ("tool", '<tool_response>\n{"name": "weather", "content": "rain"}\n</tool_response>'),
        ("gpt", "Rain."),
    )),
    "toolace": ("toolace", weather_turns('[weather(city="Oslo")]', "tool", '[{"name": "weather", "results": "rain"}]')
                | {"system": TOLD}),
    "toolllama": ("sharegpt", turns(
        ("system", f"You have access to: {[WEATHER]!r}"),
        ("user", "Oslo?"),
        ("assistant", 'Thought: hm\nAction: weather\nAction Input: {\n  "city": "Oslo"\n}'),
        ("function", "rain"),
        ("assistant", "Rain."),
    )),
    "glaive": ("glaive", {
        "system": f"SYSTEM: You have functions -\n{json.dumps(WEATHER, indent=4)}\n",
        "chat": f"USER: Oslo?\n\n\nASSISTANT: {GLAIVE_CALL}\n\n\nFUNCTION RESPONSE: rain\n\n\nASSISTANT: Rain. "
        "<|endoftext|>\n",
    }),
    "released": ("released", {"conversations": [
        {"role": "system", "content": json.dumps([WEATHER])},
        {"role": "user", "content": "Oslo?"},
        {"role": "assistant", "content": 'weather\n{"city": "Oslo"}'},
        {"role": "function", "content": "rain"},
        {"role": "assistant", "content": 'finish\n{"answer": "Rain."}'},
    ]}),
    "tau": ("tau", {"task_id": 1, "trial": 0, "reward": 1.0, "tools": [WEATHER], "traj": OPENAI}),
    "trl": ("trl", {"tools": [WEATHER], "prompt": OPENAI[:1], "chosen": OPENAI[1:], "rejected": []}),
    "trl completion": ("trl", {"tools": [WEATHER], "prompt": "Oslo?", "completion": OPENAI[1:]}),
    "toolalpaca": ("toolalpaca", {
        "functions": {"weather": 'Of a city.\nParameters: {"city": "Required. string."}\nOutput: x', "components": "y"},
        "input": "Oslo?",
        "intermediate_steps": [[["weather", '{"city": "Oslo"}\nI think', "Hm.\nAction: weather"], "rain"]],
        "output": "Rain.",
    }),
    "toolbench": ("toolbench", {"win": True, "answer_generation": {
        "function": [WEATHER],
        "train_messages": [OPENAI[:1], [
            OPENAI[0],
            {"role": "assistant", "content": "Hm."},
            {"role": "assistant", "function_call": {"name": "weather", "arguments": '{"city": "Oslo"}'}},
            {"role": "function", "name": "weather", "content": "rain"},
            OPENAI[3],
        ]],
    }}),
}  # fmt: skip


FUZZED: list[tuple[str, object]] = [*SAME.values(), *((name, raw) for raw, name in (
    ({"id": 1, "query": "?", "answers": f"[{CALL}]", "tools": json.dumps([WEATHER])}, "xlam"),
    ({"code": "###Instruction: a\n###Output: b", "api_call": "f('x', y=1)", "api_data": {}}, "apibench"),
    ({"nl": "a", "cm": "b"}, "nl2bash"),
    ({"environment": "ic_bash", "query": "?", "turn_history": {"actions": ["a"], "observations": ["b"],
      "valid_action": [True]}}, "intercode"),
    ({"history": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "action": "c"}]}, "sweagent"),
    ({"messages": [{"role": "assistant", "content": "", "tool_calls": [{"id": "1", "name": "f", "arguments": {},
      "requestor": "assistant"}]}, {"role": "tool", "id": "1", "content": "x", "requestor": "assistant",
      "error": False}]}, "tau2"),
    ([{"role": "User", "text": "a"}, {"role": "API", "api_name": "f", "param_dict": {}, "result": {"output": 1,
      "exception": None}}], "apibank"),
    ({"dialogue": [{"role": "User", "text": "a"}, {"role": "AI", "text": "b"}], "tools": [WEATHER]}, "apibank"),
    ({"messages": [{"role": "user", "content": "a", "requestor": "user"}, {"role": "assistant", "tool_calls": [
      {"id": "1", "name": "f", "arguments": {}}]}, {"role": "tool", "tool_messages": [{"id": "1", "role": "tool",
      "content": "x", "error": True}]}]}, "tau2"),
    *(({"tools": [WEATHER], "messages": [OPENAI[0], {"role": "assistant", "content": text}, {"role": "tool",
      "content": "rain", "is_error": False}]}, "openai") for text in (f"[TOOL_CALLS] [{CALL}]", "<function=weather>{}",
      'weather\n{"city": "Oslo"}<|assistant|>weather\n{}', f"<function_call>{CALL}</function_call>")),
    ({"id": "m", "question": [[{"role": "user", "content": "a"}]], "ground_truth": [["f('x', y=1)"]],
      "involved_classes": []}, "bfcl"),
    (turns(("human", "a"), ("gpt", "Think: b\n\nAct: bash\n\n```bash\nls\n```")) | {"loss": None}, "agentinstruct"),
    (turns(("user", "a"), ("assistant", "Action: f\nAction Input: {}")) | {"id": "Step 1"}, "toolllama"),
))]  # fmt: skip


JUNK = [
    None,
    0,
    1.5,
    True,
    "",
    "x",
    [],
    {},
    [1],
    {"a": 1},
    "assistant",
    "\n",
    [[]],
    {"type": {}},
    "{",
    "[{",
    -1,
    10**400,
]


def damaged(raw: object, rng: random.Random) -> object:
    """A copy in which one to three values, at any depth, are something else, or are gone."""
    raw = copy.deepcopy(raw)
    for _ in range(rng.randrange(1, 4)):
        node, parent, key, depth = raw, None, None, rng.randrange(1, 10)
        while depth and isinstance(node, dict | list) and node:
            parent, key = node, rng.choice([*node] if isinstance(node, dict) else range(len(node)))
            node, depth = node[key], depth - 1
        if parent is None:
            continue
        if rng.random() < 0.15:
            del parent[key]
        elif isinstance(node, str) and node and rng.random() < 0.5:
            at = rng.randrange(len(node))
            parent[key] = node[:at] + rng.choice(["", "{", '"', "\\", "\n", "(", "</tool_call>", "'"]) + node[at + 1 :]
        else:
            parent[key] = copy.deepcopy(rng.choice(JUNK))
    return raw


def fuzz(times: int, seed: int, check: Callable[[Trajectory], None] | None = None) -> Counter[str]:
    """How many of a format's damaged records are read; any error but a ValueError comes through."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    for name in dict.fromkeys(name for name, _ in FUZZED):
        whole = [raw for other, raw in FUZZED if other == name]
        for _ in range(times):
            for _, raw in single_records("", damaged(rng.choice(whole), rng), name):
                try:
                    trajectory = read_one(raw, "id", Counter(), rng.choice([name, None]))
                except ValueError:
                    continue
                counts[name] += 1
                if check:
                    check(trajectory)
    return counts


def check(trajectory: Trajectory) -> None:
    """What was read can be classified, shown to a model, and written so that it reads back equal."""
    call_categories(trajectory)
    for spec in trajectory.tools:
        spec.to_prompt()
    assert Trajectory.from_openai(trajectory.to_openai()) == trajectory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50_000, help="damaged records per format (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the damage (default: %(default)s)")
    arguments = parser.parse_args()
    start = time.monotonic()
    for name, count in fuzz(arguments.times, arguments.seed, check).items():
        print(f"{name:<14} {count:>8,} of {arguments.times:,} read, the others refused")
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
