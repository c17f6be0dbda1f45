"""Records of OpenAI messages around one tool, `search`, as tests of readers write them."""

from tl.schema import ToolSpec

SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Find it.",
        "parameters": {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]},
    },
}
SEARCH_SPEC = ToolSpec("search", "Find it.", {"q": {"type": "string"}}, ("q",))


def user(text: str = "Find cats.") -> dict:
    return {"role": "user", "content": text}


def text(content: object) -> dict:
    return {"role": "assistant", "content": content}


def calls(*arguments: object, content: str | None = None, first: int = 1) -> dict:
    """An assistant message that calls `search` once for each of the arguments, under the ids c1, c2, …"""
    entries = [
        {"id": f"c{i}", "type": "function", "function": {"name": "search", "arguments": argument}}
        for i, argument in enumerate(arguments, first)
    ]
    return {"role": "assistant", "content": content, "tool_calls": entries}


def feedback(content: object, call_id: str | None = "c1", **more) -> dict:
    return {"role": "tool", "tool_call_id": call_id, "content": content} | more


def record(*messages: object, **more) -> dict:
    return {"id": "r", "tools": [SEARCH], "messages": list(messages)} | more
