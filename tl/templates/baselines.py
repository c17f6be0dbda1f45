"""The prompts of the models that the paper compares with (Tables 6 to 13), as text for models that run elsewhere. They
answer in a form of `tl.forms`.

`PROMPTS` maps the name of each form to its writer. Those of Tables 10, 11 and 13 are the project's own prompt formats;
the GPT series (Table 12) has no text of its own, but OpenAI's messages and tools. Tokens that a tokenizer puts before
every text (`<s>`, `<|begin_of_text|>`, `[gMASK]<sop>`) are left to it.
"""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TypeAlias, cast

from tl.calls import parse_call
from tl.llama.tokenizer import Tokenizer
from tl.schema import ToolSpec
from tl.templates.chatml import QWEN_SYSTEM, ChatML
from tl.templates.llama3 import Llama3
from tl.templates.table13 import Table13
from tl.templates.template import Template, json_text
from tl.trajectory import Message

Tools: TypeAlias = Sequence[ToolSpec]
Messages: TypeAlias = Sequence[Message]

# Fixed words of the prompts of ToolLLaMA-2 (ToolBench, Apache-2.0), of GLM-4-chat (its model licence) and of Qwen's
# ReAct examples (Apache-2.0), their spelling included.
_TOOLLLAMA = """\
You are AutoGPT, you can use many tools(functions) to do the following task.
First I will give you the task description, and your task start.
At each step, you need to give your thought to analyze the status now and what to do next, with a function call to \
actually excute your step. Your output should follow this format:
Thought:
Action
Action Input:

After the call, you will get the call result, and you are now in a new state.
Then you will analyze your status now, then decide what to do next...
After many (Thought-call) pairs, you finally perform the task, then you can give your finial answer.
Remember:
1.the state change is irreversible, you can't go back to one of the former state, if you want to restart the task, say \
"I give up and restart".
2.All the thought is short, at most in 5 sentence.
3.You can do more then one trys, so if your plan is to continusly try some conditions, you can do one of the \
conditions per try.
Let's Begin!
Task description: You should use functions to help handle the real time user querys. Remember:
1.ALWAYS call "Finish" function at the end of the task. And the final answer should contain enough information to show \
to the user,If you can't handle the task, or you find that function calls always fail(the function is not valid now), \
use function Finish->give_up_and_restart.
2.Do not use origin tool names, use only subfunctions' names.

Specifically, you have access to the following APIs: """
_GLM = (
    "你是一个名为 ChatGLM 的人工智能助手。你是基于智谱AI训练的语言模型 GLM-4 模型开发的，"
    "你的任务是针对用户的问题和要求提供适当的答复和支持。\n\n# 可用工具"
)
_GLM_ARGUMENTS = "\n在调用上述函数时，请使用 Json 格式表示调用的参数。"
_REACT = """\
Use the following format:

Question: the input question you must answer
Thought: you should always think about what to do
Action: the action to take, should be one of [{names}]
Action Input: the input to the action
Observation: the result of the action
... (this Thought/Action/Action Input/Observation can be repeated zero or more times)
Thought: I now know the final answer
Final Answer: the final answer to the original input question

Begin!

Question: """


def toolllama(tools: Tools, messages: Messages) -> str:
    """Table 6."""
    listed = json_text([tool.to_openai() for tool in tools])
    said = "".join(
        f"Assistant: {_action(m)}\n" if m.is_call else f"{'Function' if m.role == 'tool' else 'User'}: {m.content}\n"
        for m in messages
    )
    return f"System: {_TOOLLLAMA}{listed}\n{said}Assistant:\n"


def nexusraven(tools: Tools, messages: Messages) -> str | None:
    """Table 7. The form has no history; None for a conversation that has one."""
    if len(messages) > 1:
        return None
    returns = '\n    Returns:\n    string: The feedback from the tool.\n    """'
    blocks = (tool.to_prompt().removesuffix('    """') + returns for tool in tools)
    return "\n\n".join([*blocks, f"User Query: {messages[0].content}<human_end>"])


def chatglm4(tools: Tools, messages: Messages) -> str:
    """Table 8."""
    functions = ((tool.name, json_text(tool.to_openai()["function"], indent=4)) for tool in tools)
    listed = "".join(f"\n\n## {name}\n\n{function}{_GLM_ARGUMENTS}" for name, function in functions)
    said = "".join(
        f"<|assistant|>{_name_json(m)}"
        if m.is_call
        else f"<|{'observation' if m.role == 'tool' else m.role}|>\n{m.content}"
        for m in messages
    )
    return f"<|system|>\n{_GLM}{listed}{said}<|assistant|>"


def qwen2(tools: Tools, messages: Messages) -> str:
    """Table 9: ReAct, in the turn of the assistant."""
    question = messages[0].content
    listed = "\n\n".join(
        f"{tool.name}: Call this tool to interact with the {tool.name} API. What is the {tool.name} API useful for? "
        f"{tool.description} Parameters: {json_text(_parameters(tool))} Format the arguments as a JSON object."
        for tool in tools
    )
    said = "".join(f"{_action(m)}\n" if m.is_call else f"Observation: {m.content}\n" for m in messages[1:])
    return (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        "Answer the following questions as best you can. You have access to the following tools:\n\n"
        f"{listed}\n\n{_REACT.format(names=','.join(tool.name for tool in tools))}{question}<|im_end|>\n"
        f"<|im_start|>assistant\n{said}"
    )


def _parameters(tool: ToolSpec) -> list[dict]:
    return [
        {"name": key, "description": schema.get("description", ""), "required": key in tool.required, "schema": rest}
        for key, schema in tool.parameters.items()
        for rest in [{k: v for k, v in schema.items() if k != "description"}]
    ]


def _action(message: Message) -> str:
    call = parse_call(message.content)
    return f"Thought: \nAction: {call.name}\nAction Input: {json_text(call.arguments)}"


def _name_json(message: Message) -> str:
    call = parse_call(message.content)
    return f"{call.name}\n{json_text(call.arguments)}"


def _own(form: type[Template], **settings: str) -> Callable[[Tools, Messages], str]:
    """A prompt format of the project as text, independent of the vocabulary: control tokens are written out."""

    def write(tools: Tools, messages: Messages) -> str:
        vocabulary = SimpleNamespace(path="", control_ids=dict.fromkeys(form.needs, 0), vocabulary=spaces)
        segments = form(cast(Tokenizer, vocabulary), **settings).segments(tools, messages)
        return "".join(segment.text for segment in segments)

    spaces = SimpleNamespace(adds_space=False)
    return write


PROMPTS: dict[str, Callable[[Tools, Messages], str | None]] = {
    "toolllama-2 (Table 6)": toolllama,
    "nexusraven-2 (Table 7)": nexusraven,
    "chatglm-4 (Table 8)": chatglm4,
    "qwen-2 (Table 9)": qwen2,
    "llama-3.1 (Table 10)": _own(Llama3),
    "qwen-2.5 (Table 11)": _own(ChatML, system=QWEN_SYSTEM),
    "tl-codellama-2 (Table 13)": _own(Table13),
}
