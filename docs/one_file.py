"""TL-Training in one file, read from top to bottom: a Llama, supervised fine-tuning with MAE and PKT, PPO with IRM.
Formulas stand beside the code; sections are the paper's (arXiv 2412.15495). Nothing of `tl` is imported.

    python docs/one_file.py            24 SFT steps, then 8 PPO steps, on conversations about the weather and the time

Left out: packing, several GPUs, the KV cache, checkpoints, data files, tools that really run. Simpler: MAE matches
phrases, learning rates are constant, AdamW's settings differ, PPO has no target KL, and the critic's values start at 0.
Ids, weights, losses, gradients, advantages and rewards are those of the product (tests/test_one_file.py).
"""

import ast
import json
import math
import re
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from sentencepiece import SentencePieceProcessor as Vocabulary
from torch import Tensor

CHECKPOINT = Path(__file__).parents[1] / "tl/assets/tiny"
CONFIG = json.loads((CHECKPOINT / "config.json").read_text())
Weights = dict[str, Tensor]

# ----------------------------------------------------------------------------------------------------------- the model
# Axes: T tokens, C channels, H query heads, K key/value heads, D channels of a head, V vocabulary.


def load_model() -> Weights:
    """The embedded base model: 3.7 million parameters that have never seen a tool of this file."""
    weights = load_file(CHECKPOINT / "model.safetensors")
    return {name.removeprefix("model."): w.float().requires_grad_() for name, w in weights.items()}


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    """x / sqrt(mean(x²) + ε) · w"""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + CONFIG["rms_norm_eps"]) * weight


def rotate(x: Tensor) -> Tensor:
    """RoPE: turns the channels (i, i + D/2) of x [heads, T, D] at position t by the angle t·θ^(−2i/D)."""
    frequencies = CONFIG["rope_theta"] ** -(torch.arange(0, x.shape[-1], 2, dtype=torch.float64) / x.shape[-1])
    angles = torch.arange(x.shape[1])[:, None] * frequencies  # [T, D/2]
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def llama(w: Weights, ids: Tensor) -> Tensor:
    """ids [T] → hidden states [T, C]. The logits are ``hidden @ w["embed_tokens.weight"].T``: input and output
    embeddings are tied."""
    x = w["embed_tokens.weight"][ids]
    future = torch.ones(len(ids), len(ids), dtype=torch.bool).triu(1)
    for i in range(CONFIG["num_hidden_layers"]):
        layer = {name.removeprefix(f"layers.{i}."): p for name, p in w.items() if name.startswith(f"layers.{i}.")}
        h = rms_norm(x, layer["input_layernorm.weight"])
        q, k, v = (h @ layer[f"self_attn.{name}_proj.weight"].T for name in "qkv")
        q, k, v = (y.unflatten(-1, (-1, CONFIG["head_dim"])).transpose(0, 1) for y in (q, k, v))  # [H or K, T, D]
        q, k = rotate(q), rotate(k)
        k, v = (y.repeat_interleave(len(q) // len(k), dim=0) for y in (k, v))  # query heads share keys and values
        scores = (q @ k.transpose(1, 2) / math.sqrt(CONFIG["head_dim"])).masked_fill(future, -math.inf)
        x = x + (scores.softmax(-1) @ v).transpose(0, 1).flatten(1) @ layer["self_attn.o_proj.weight"].T
        h = rms_norm(x, layer["post_attention_layernorm.weight"])
        gate, up = h @ layer["mlp.gate_proj.weight"].T, h @ layer["mlp.up_proj.weight"].T
        x = x + (F.silu(gate) * up) @ layer["mlp.down_proj.weight"].T
    return rms_norm(x, w["norm.weight"])


# ----------------------------------------------------------------------------------------------- calls, and the prompt
# A conversation is a list of (role, text). Roles: user, call (the model's turns), output (a tool's feedback).


def parse_call(text: str) -> tuple[str, dict]:
    """`name(key=literal, …)` → (name, arguments). The text is parsed, never executed. ValueError: it is not a call."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args):
            raise ValueError("not a call with keywords")
        return node.func.id, {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
    except (SyntaxError, RecursionError, MemoryError, TypeError) as error:
        raise ValueError(f"not a call: {text}") from error


def tool_block(tool: dict) -> str:
    """How Table 13 shows a tool: signature, description, parameters, the required ones first."""
    signature = [f"{key}: {kind}" for key, (kind, _) in tool["required"].items()]
    signature += [f"{key}: {kind} = None" for key, (kind, _) in tool["optional"].items()]
    lines = [f"    {k} ({kind}): {text}\n" for k, (kind, text) in (tool["required"] | tool["optional"]).items()]
    head = f"Function:\ndef {tool['name']}({', '.join(signature)}):\n"
    return head + f'    """\n    {tool["description"]}\n\n    Args:\n{"".join(lines)}    """'


def encode(vocabulary: Vocabulary, text: str) -> list[int]:
    """Ids of one segment. Sentencepiece puts a word mark before every text. A segment that begins with a newline gets
    none: it is encoded after another newline, and the ids of mark and newline are cut off."""
    return vocabulary.encode("\n" + text)[2:] if text.startswith("\n") else vocabulary.encode(text)


def segments(tools: list[dict], messages: list[tuple[str, str]]) -> list[tuple[bool, str]]:
    """The conversation as Table 13 writes it: (is it a turn of the model, text), to be encoded one by one."""
    parts = [(False, "System: " + "\n\n".join(map(tool_block, tools)))]
    for role, text in messages:
        if role == "call":
            parts += [(False, "\nAssistant:"), (True, text)]  # `</s>`, which ends it, is a target only
        else:
            parts += [(False, f"\n{role.title()}: {text}")]
    return parts


# -------------------------------------------------------------- 3.1, MAE: erroneous calls are read, but not trained on
# L_MAE = −Σ_D Σ_{t_s ∉ T_e} log p(t_s | q, T, t_<s, o_<s)

# What the authors' released code searches feedback for. Any text with the letters "error" counts as an error, even "no
# errors found"; tl/mae has rules about the form of error messages instead.
PHRASES = """is not defined, positional argument, unexpected keyword, related_searches, error, not supported,
invalid api call, object of type serpresults is not json serializable, slice indices must be integers"""


def letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def is_erroneous(feedback: str) -> bool:
    """Whether the call that got this feedback belongs to T_e."""
    return any(letters(phrase) in letters(feedback) for phrase in PHRASES.split(","))


# ---------------------------------------------------- 3.2, PKT: the tokens that decide which tool is called weigh more
# w = CLIP(|NK| / |K|, 1, w_max) for key tokens, 1 for the others (Theorem A.2)


def key_positions(name: list[int], others: list[list[int]]) -> list[int]:
    """Positions in a tokenised name: the first, and those where it diverges from another tool's name."""
    keys = {0}
    for other in others:
        shared = 0
        while shared < min(len(name), len(other)) and name[shared] == other[shared]:
            shared += 1
        if other != name:
            keys.add(shared)  # len(name), if all is shared: the token after the name, which ends it
    return sorted(keys)


def call_weights(n_tokens: int, keys: list[int], w_max: float = 9.0) -> list[float]:
    """The weights of a call's tokens, `</s>` included."""
    key_weight = min(max((n_tokens - len(keys)) / len(keys), 1.0), w_max)
    return [key_weight if i in keys else 1.0 for i in range(n_tokens)]


# ---------------------------------------------------------------------------------------------- SFT: from text to loss


def encode_conversation(tools: list[dict], messages: list[tuple[str, str]], vocabulary: Vocabulary) -> list[Tensor]:
    """(ids, targets, weights, call) of a conversation, each [T]: position t holds ids[t] and predicts targets[t].

    A conversation is read once, however many calls it has. Targets are a separate array: at the last token of a call
    the target is `</s>`, while the next input is the newline before `Output:`. ``call`` numbers the calls.
    """
    ids, targets, weights, call = [vocabulary.bos_id()], [0], [0.0], [0]
    pairs = zip(messages, [*messages[1:], ("end", "")], strict=True)  # each message with the next one
    feedback = [text if after == "output" else "" for (role, _), (after, text) in pairs if role == "call"]

    def name_ids(name: str) -> list[int]:
        pieces = encode(vocabulary, name)
        return pieces[1:] if vocabulary.id_to_piece(pieces[0]) == "▁" else pieces  # a bare mark is never key

    n_calls = 0
    for is_call, text in segments(tools, messages):
        new = encode(vocabulary, text)
        start = len(ids) - 1  # the position that predicts the first new token
        ids, targets = ids + new, targets + [0] * len(new)
        weights, call = weights + [0.0] * len(new), call + [0] * len(new)
        if is_call:
            name = parse_call(text)[0]
            lead = len(encode(vocabulary, name)) - len(name_ids(name))
            keys = key_positions(name_ids(name), [name_ids(tool["name"]) for tool in tools])
            mask = 0.0 if is_erroneous(feedback[n_calls]) else 1.0  # MAE and PKT multiply
            targets[start:] = [*new, vocabulary.eos_id()]
            weights[start:] = [mask * w for w in call_weights(len(new) + 1, [lead + key for key in keys])]
            call[start:] = [n_calls] * (len(new) + 1)
            n_calls += 1
    return [torch.tensor(x) for x in (ids, targets, weights, call)]


def token_nll(model: Weights, ids: Tensor, positions: Tensor, targets: Tensor) -> Tensor:
    """−log p(target) at some positions. Logits are computed only there: few tokens of a conversation are targets."""
    logits = llama(model, ids)[positions] @ model["embed_tokens.weight"].T
    return logits.logsumexp(-1) - logits.gather(-1, targets[:, None]).squeeze(-1)


def sft_loss(model: Weights, batch: list[list[Tensor]]) -> Tensor:
    """Σ over calls of (Σ w·nll / Σ w), divided by the number of calls with weight, over the whole batch."""
    losses = []
    for ids, targets, weights, call in batch:
        at = weights.nonzero().flatten()
        nll = token_nll(model, ids, at, targets[at])
        for number in call[at].unique():
            mine = call[at] == number
            w = weights[at][mine].to(nll.dtype)
            losses.append((w * nll[mine]).sum() / w.sum())
    return torch.stack(losses).mean()


def step(model: Weights, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.values(), 1.0)
    optimizer.step()


# --------------------------------------------------------------------------- 3.3, IRM: the reward of a call (Figure 2)


def call_reward(text: str, golden: str, tools: list[dict]) -> float:
    """R(t_s): a predicted call against the golden one. The first case that applies counts."""
    golden_name, golden_arguments = parse_call(golden)
    try:
        name, arguments = parse_call(text)
    except ValueError:
        return -2.0  # format error
    if name not in [tool["name"] for tool in tools]:
        return -2.0  # tool hallucination
    if name != golden_name:
        return -1.5  # wrong tool
    used, wanted = set(arguments), set(golden_arguments)
    known = {key for tool in tools if tool["name"] == name for key in tool["required"] | tool["optional"]} | wanted
    hallucinated, redundant, missing = bool(used - known), bool((used & known) - wanted), bool(wanted - used)
    if hallucinated:
        return {2: -1.8, 1: -1.3, 0: -0.8}[redundant + missing]
    if redundant or missing:
        return -1.0 if redundant and missing else -0.5
    return 1.0 if arguments == golden_arguments else -0.25


# ----------------------------------------------------------------------------------------------------------------- PPO
# M* = argmax E[Σ_s (R(t_s) − β KL(M ‖ M_sft))]. A rollout: a prompt, and the A tokens (actions) drawn after it.

BETA, GAMMA, LAMBDA, CLIP = 0.4, 1.0, 0.95, 0.2


def gae(rewards: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """δ_i = r_i + γ V_{i+1} − V_i, A_i = δ_i + γλ A_{i+1}, G = A + V. All [A]; after the last action V and A are 0."""
    advantages, after, next_value = torch.zeros_like(rewards), 0.0, 0.0
    for i in reversed(range(len(rewards))):
        after = rewards[i] + GAMMA * next_value - values[i] + GAMMA * LAMBDA * after
        advantages[i], next_value = after, values[i]
    return advantages, advantages + values


def whiten(x: Tensor) -> Tensor:
    """(x − mean) / std, with a floor for the divisor, since equal rewards leave nothing but noise in x."""
    return (x - x.mean()) / x.std(correction=0).clamp(min=0.1)


def policy_loss(logp: Tensor, old_logp: Tensor, advantages: Tensor) -> Tensor:
    """−mean min(ρA, clip(ρ, 1−ε, 1+ε)·A) with ρ = π / π_old (PPO, arXiv 1707.06347, equation 7)."""
    ratio = (logp - old_logp).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - CLIP, 1 + CLIP) * advantages).mean()


def value_loss(values: Tensor, old_values: Tensor, returns: Tensor) -> Tensor:
    """mean ½ max((V − G)², (V_clipped − G)²), V_clipped at most ε from the value at rollout time."""
    clipped = old_values + (values - old_values).clamp(-CLIP, CLIP)
    return 0.5 * torch.maximum((values - returns) ** 2, (clipped - returns) ** 2).mean()


def make_critic(model: Weights) -> Weights:
    """V(s): a second Llama with the SFT model's weights, and a head with one output, whose weights start at zero."""
    head = {"value_head.weight": torch.zeros(CONFIG["hidden_size"])}
    return {name: w.detach().clone().requires_grad_() for name, w in (model | head).items()}


@torch.no_grad()
def sample(model: Weights, prompt: list[int], end: int, longest: int, generator: torch.Generator) -> list[int]:
    """A call sampled at temperature 1, `</s>` included. Without a KV cache, each token reads the whole text again."""
    ids = list(prompt)
    while len(ids) < len(prompt) + longest:
        logits = llama(model, torch.tensor(ids))[-1] @ model["embed_tokens.weight"].T
        ids.append(int(torch.multinomial(logits.softmax(-1), 1, generator=generator)))
        if ids[-1] == end:
            break
    return ids[len(prompt) :]


def action_logp(model: Weights, prompt: list[int], actions: list[int]) -> Tensor:
    """log π of the actions, [A]. The sampled ids are scored as they are, never tokenised again."""
    ids = torch.tensor([*prompt, *actions[:-1]])
    return -token_nll(model, ids, torch.arange(len(prompt) - 1, len(ids)), torch.tensor(actions))


def action_values(critic: Weights, prompt: list[int], actions: list[int]) -> Tensor:
    hidden = llama(critic, torch.tensor([*prompt, *actions[:-1]]))[len(prompt) - 1 :]
    return hidden @ critic["value_head.weight"]


def ppo_step(models, optimizers, prompts, vocabulary, generator, samples=8):  # noqa: ANN001, ANN201
    """One step: sample calls, reward them, estimate advantages, update policy and critic. Returns the mean of R.

    models: the actor, the critic, and the frozen SFT model; prompts: (ids, golden call) pairs.
    """
    actor, critic, reference = models
    drawn, rewards = [], []
    for prompt, golden in prompts * samples:
        actions = sample(actor, prompt, vocabulary.eos_id(), 24, generator)
        text = vocabulary.decode(actions) if actions[-1] == vocabulary.eos_id() else ""  # cut off: no call
        drawn.append((prompt, actions))
        rewards.append(call_reward(text, golden, TOOLS))
    estimates = []
    with torch.no_grad():
        for (prompt, actions), reward in zip(drawn, rewards, strict=True):
            logp, values = action_logp(actor, prompt, actions), action_values(critic, prompt, actions)
            token_rewards = -BETA * (logp - action_logp(reference, prompt, actions))  # the KL penalty at each token,
            token_rewards[-1] += reward  # and R on the last token of the call
            estimates.append((logp, values, *gae(token_rewards, values)))
    old_logp, old_values, advantages, returns = (torch.cat(x) for x in zip(*estimates, strict=True))
    advantages = whiten(advantages)
    for _ in range(2):  # the first time ρ is 1, afterwards the clip acts
        logp = torch.cat([action_logp(actor, *rollout) for rollout in drawn])
        step(actor, optimizers[0], policy_loss(logp, old_logp, advantages))
        values = torch.cat([action_values(critic, *rollout) for rollout in drawn])
        step(critic, optimizers[1], value_loss(values, old_values, returns))
    return sum(rewards) / len(rewards)


# ------------------------------------------------------------------------------------------------ the data of this file

CITY = {"city": ("string", "Name of the city.")}
TOOLS = [
    {
        "name": "get_weather",
        "description": "Weather of a city.",
        "required": CITY,
        "optional": {"days": ("integer", "Days ahead.")},
    },
    {"name": "get_time", "description": "Time of day in a city.", "required": CITY, "optional": {}},
    {
        "name": "finish",
        "description": "End with the answer.",
        "required": {"answer": ("string", "The answer.")},
        "optional": {},
    },
]
WEATHER = """\
user: How is the weather in {city}?
call: get_weather(town="{city}")
output: get_weather() got an unexpected keyword argument 'town'
call: get_weather(city="{city}")
output: {{"sky": "{sky}"}}
call: finish(answer="{sky}")"""
TIME = """\
user: What time is it in {city}?
call: get_time(city="{city}")
output: {{"time": "{time}"}}
call: finish(answer="{time}")"""

CITIES = ("Rome", "Lima", "Bern", "Cairo", "Paris", "Delhi", "Quito", "Tunis", "Malmo", "Basel", "Dakar", "Turin")


def conversations() -> list[list[tuple[str, str]]]:
    made = []
    for i, city in enumerate(CITIES):
        for text in (WEATHER, TIME):
            lines = text.format(city=city, sky=("sun", "fog", "snow")[i % 3], time=f"{7 + i:02}:{5 * i:02}").split("\n")
            made.append([(role, said) for role, _, said in (line.partition(": ") for line in lines)])
    return made


def prompt_ids(question: str, vocabulary: Vocabulary) -> list[int]:
    pieces = [*segments(TOOLS, [("user", question)]), (False, "\nAssistant:")]
    return [vocabulary.bos_id(), *(id for _, text in pieces for id in encode(vocabulary, text))]


def main(sft_steps: int = 24, ppo_steps: int = 8) -> None:
    torch.manual_seed(0)
    vocabulary = Vocabulary(model_file=str(CHECKPOINT / "tokenizer.model"))
    model = load_model()
    examples = [encode_conversation(TOOLS, messages, vocabulary) for messages in conversations()]
    optimizer = torch.optim.AdamW(model.values(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.01)
    for i in range(sft_steps):
        loss = sft_loss(model, [examples[(6 * i + j) % len(examples)] for j in range(6)])
        step(model, optimizer, loss)
        print(f"SFT step {i + 1:2}  loss {loss.item():.3f}")

    models = (model, make_critic(model), {name: w.detach().clone() for name, w in model.items()})
    optimizers = [torch.optim.AdamW(m.values(), lr=3e-5) for m in models[:2]]
    questions = {
        "What time is it in Oslo?": 'get_time(city="Oslo")',
        "How is the weather in Oslo?": 'get_weather(city="Oslo")',
    }
    prompts = [(prompt_ids(question, vocabulary), golden) for question, golden in questions.items()]
    generator = torch.Generator().manual_seed(0)
    for i in range(ppo_steps):
        reward = ppo_step(models, optimizers, prompts, vocabulary, generator)
        print(f"PPO step {i + 1:2}  mean reward {reward:.2f}")


if __name__ == "__main__":
    main()
