"""ToolBench's answers: a search tree in one object, whose last chain of messages is the longest."""

from tl.trajectory import Notes


def is_answer(raw: object) -> bool:
    return isinstance(raw, dict) and isinstance(raw.get("answer_generation"), dict)


def answer(raw: dict, _notes: Notes) -> dict:
    generation = raw["answer_generation"]
    functions = generation.get("function")
    if chains := generation.get("train_messages"):
        messages = chains[-1] if isinstance(chains, list) and chains else None
    else:
        messages = _chain(raw, generation)
    if not isinstance(messages, list):
        raise ValueError("the answer has no `train_messages`: the search found none")
    return {"tools": functions, "messages": messages}


def _chain(raw: dict, generation: dict) -> list[dict] | None:
    """The messages of a search without branches (StableToolBench's CoT), which is listed node by node."""
    tries = raw.get("trys")
    nodes = tries[-1].get("chain") if isinstance(tries, list) and tries and isinstance(tries[-1], dict) else None
    if not isinstance(nodes, list) or not nodes or not all(isinstance(node, dict) for node in nodes):
        return None
    messages: list[dict] = [{"role": "user", "content": generation.get("query")}]
    name = None
    for node in nodes:
        kind, text = node.get("node_type"), node.get("description")
        if kind == "Thought":
            messages.append({"role": "assistant", "content": text})
        elif kind == "Action":
            name = text
        elif kind == "Action Input":
            messages.append({"role": "assistant", "tool_calls": [{"name": name, "arguments": text}]})
            if node.get("observation") is not None and node.get("observation_code") != 3:  # 3: the end
                messages.append({"role": "tool", "content": node["observation"]})
    return messages


def is_evaluation(raw: object) -> bool:
    return isinstance(raw, dict) and isinstance(raw.get("answer"), dict) and "answer_details" in raw["answer"]


def evaluation(_raw: dict, _notes: Notes) -> dict:
    raise ValueError("a result of ToolBench's evaluation: its messages are cut after 100 characters")


def is_queries(raw: object) -> bool:
    return isinstance(raw, dict) and "query" in raw and "api_list" in raw


def queries(_raw: dict, _notes: Notes) -> dict:
    raise ValueError("a query of ToolBench without its answer")
