"""ToolAlpaca: APIs whose functions are described in text, and runs of steps `[[[action, input, log], observation]]`."""

import json
import re
from collections.abc import Iterator

from tl.trajectory import Notes

NOT_A_TOOL = "components"
_PARAMETERS = re.compile(r"^Parameters: (\{.*\})\s*$", re.MULTILINE)
_PARAMETER = re.compile(r"(Required\.\s*)?(?:(\w+)\.\s*)?(.*)", re.DOTALL)
_STOPPED = "Agent stopped due to"


def is_api(raw: object) -> bool:
    return isinstance(raw, dict) and isinstance(raw.get("Instances"), list)


def instances(raw: dict) -> Iterator[tuple[str, object]]:
    """The runs on one API, each with the API's functions."""
    shared = {"functions": raw.get("Function_Description"), "api": raw.get("Name")}
    for number, instance in enumerate(raw["Instances"], 1):
        yield f"instance {number}", shared | instance if isinstance(instance, dict) else instance


def is_run(raw: object) -> bool:
    return isinstance(raw, dict) and "input" in raw and ("intermediate_steps" in raw or "steps" in raw)


def run(raw: dict, _notes: Notes) -> dict:
    messages: list[dict] = [{"role": "user", "content": raw["input"]}]
    for action, given, thought, observation in map(_step, raw.get("intermediate_steps") or raw.get("steps") or []):
        call = {"name": action, "arguments": _leading_object(given)}
        messages.append({"role": "assistant", "content": thought or None, "tool_calls": [call]})
        messages.append({"role": "tool", "content": observation})
    output = raw.get("output")
    if isinstance(output, str) and output.strip() and not output.startswith(_STOPPED):
        messages.append({"role": "assistant", "content": output})
    functions = raw.get("functions")
    return {"tools": tools_of(functions) if isinstance(functions, dict) else raw.get("tools"), "messages": messages}


def _step(step: object) -> tuple[object, object, str, object]:
    """Action, its input, what was thought, and the observation."""
    if isinstance(step, dict):
        return step.get("action"), step.get("action_input"), _thought(step.get("log")), step.get("observation")
    if isinstance(step, list) and len(step) == 2 and isinstance(step[0], list) and len(step[0]) >= 2:
        return step[0][0], step[0][1], _thought(step[0][2] if len(step[0]) > 2 else None), step[1]
    raise ValueError(f"a step must be [[action, input, log], observation], not {step!r:.80}")


def _leading_object(given: object) -> object:
    """The object that an input begins with. ToolAlpaca's runs ignored what the model wrote after it."""
    try:
        value = json.JSONDecoder().raw_decode(given.strip())[0] if isinstance(given, str) else given
    except (ValueError, RecursionError):
        return given
    return value if isinstance(value, dict) else given


def _thought(log: object) -> str:
    return re.split(r"(?:ASSISTANT )?Action\s*:", log)[0].strip() if isinstance(log, str) else ""


def tools_of(descriptions: dict) -> list[dict]:
    """The functions of an API as schemas."""
    return [tool(name, text) for name, text in descriptions.items() if name != NOT_A_TOOL]


def tool(name: str, text: str) -> dict:
    """The schema of a function from its text, which has a description, a line of parameters as JSON, and the output's
    form, which is left out."""
    found = _PARAMETERS.search(str(text))
    if not found:
        raise ValueError(f"tool {name}: no line of parameters")
    parameters, required = {}, []
    for key, description in json.loads(found[1]).items():
        parts = _PARAMETER.fullmatch(str(description))
        is_required, kind, words = parts.groups() if parts else (None, None, "")
        parameters[key] = {"type": kind or "string", "description": words}
        required += [key] if is_required else []
    schema = {"type": "object", "properties": parameters, "required": required}
    return {"name": name, "description": text[: found.start()].strip(), "parameters": schema}
