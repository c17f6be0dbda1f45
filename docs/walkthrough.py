"""One trajectory from JSON to the SFT loss, and one call from rollout to the PPO update, every number twice: by plain
arithmetic and by the code that training runs.

    python -m docs.walkthrough

Nothing is trained. The model is the embedded base, so its probabilities are poor; only the arithmetic matters here.
"""

import math

import torch
from torch import Tensor

from tl.assets import TINY
from tl.irm import call_reward
from tl.llama import Llama, Tokenizer, load_model
from tl.losses import policy_loss, policy_stats, token_nll, value_loss, weighted_cross_entropy
from tl.mae import call_categories
from tl.ppo import gae, token_rewards, whiten
from tl.prompt import NO_TARGET, Example, encode_prompt, encode_trajectory
from tl.templates import template_of
from tl.trajectory import Trajectory


def tool(name: str, description: str, parameter: str, kind: dict) -> dict:
    parameters = {"type": "object", "properties": {parameter: kind}, "required": [parameter]}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def call(name: str, arguments: str) -> dict:
    made = {"id": name, "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "tool_calls": [made]}


RECORD = {
    "id": "owls",
    "tools": [
        tool("get_paper", "Title of a paper.", "paper_id", {"type": "string"}),
        tool("get_papers_by_keywords", "Papers on a topic.", "query", {"type": "string"}),
    ],
    "messages": [
        {"role": "user", "content": "Find papers about owls."},
        call("get_papers", '{"query": "owls"}'),
        {"role": "tool", "tool_call_id": "get_papers", "content": "name get_papers is not defined"},
        call("get_papers_by_keywords", '{"query": "owls"}'),
        {"role": "tool", "tool_call_id": "get_papers_by_keywords", "content": '[{"title": "Night owls"}]'},
        {"role": "assistant", "content": "Night owls"},
    ],
}
BETA, LAMBDA, CLIP = 0.4, 0.95, 0.2  # the discount is 1


def heading(text: str) -> None:
    print(f"\n== {text}\n")


def compare(what: str, by_hand: float, by_code: float) -> None:
    print(f"{what:<36} by hand {by_hand:.6f}   by code {by_code:.6f}")


def columns(*cells: object) -> None:
    print("  ".join(f"{cell:<16}" if isinstance(cell, str) else f"{cell:>9.4f}" for cell in cells))


def show_template(trajectory: Trajectory, tokenizer: Tokenizer) -> None:
    heading("1. The trajectory as text (Table 13); turns in [brackets] are the assistant's")
    for segment in template_of(tokenizer).segments(trajectory.tools, trajectory.messages):
        print(f" [{segment.text}]" if segment.turn else segment.text, end="")
    print()


def show_categories(trajectory: Trajectory) -> None:
    heading("2. MAE: what the feedback says of each call (section 3.1)")
    for (message, feedback), category in zip(trajectory.calls(), call_categories(trajectory), strict=True):
        print(f"{category.value:<20}{message.content}\n{'':<20}{feedback or '(ends the conversation)'}")


@torch.no_grad()
def sft(example: Example, model: Llama, tokenizer: Tokenizer) -> None:
    heading("3. PKT: the weight of each token (section 3.2), and what the model gives it")
    at = (example.targets != NO_TARGET).nonzero().flatten()  # where something is predicted
    targets, weights, turn_index = (x[at] for x in (example.targets, example.weights, example.turn_index))
    hidden = model(example.input_ids[None], return_hidden=True)[0, at]  # [M, C]
    nll = token_nll(hidden, model.lm_head.weight, targets)
    print(f"{'token':<16}     weight     -log p")
    losses = []
    for number, turn in enumerate(example.turns):
        mine = turn_index == number
        rows = list(zip(targets[mine].tolist(), weights[mine].tolist(), nll[mine].tolist(), strict=True))
        for target, weight, value in rows:
            columns(repr(tokenizer.piece(target)), weight, value)
        if turn.trained:
            losses.append(sum(w * x for _, w, x in rows) / sum(w for _, w, _ in rows))
            print(f"Σ w·nll / Σ w = {losses[-1]:.4f}\n")
        else:
            print(f"masked: {turn.category.value}\n")
    heading("4. The SFT loss: the mean over the trained calls")
    loss = weighted_cross_entropy(nll, weights, turn_index)
    compare("loss", sum(losses) / len(losses), loss.item())


def show_rewards(trajectory: Trajectory, golden: str) -> None:
    heading(f"5. IRM: the reward of a call where {golden} is right (section 3.3)")
    wrong = ['search(query="owls")', 'get_paper(paper_id="owls")', 'get_papers_by_keywords(topic="owls")']
    wrong += ["get_papers_by_keywords()", 'get_papers_by_keywords(query="cats")', "papers about owls"]
    for text in [golden, *wrong]:
        reward = call_reward(text, golden, trajectory.tools)
        columns(f"{text:<40}", reward.value, f" {reward.case.value}")


def action_logp(model: Llama, prompt: list[int], actions: list[int]) -> Tensor:
    """log π of a call's tokens after the prompt, [A]: the hidden state at a token predicts the next one."""
    ids = torch.tensor([[*prompt, *actions[:-1]]])  # </s>, the last action, is never read
    hidden = model(ids, return_hidden=True)[0, len(prompt) - 1 :]  # [A, C]
    return -token_nll(hidden, model.lm_head.weight, torch.tensor(actions))


def perturbed(model: Llama, amount: float, seed: int) -> Llama:
    """A copy with slightly different weights, like the policy after some steps."""
    torch.manual_seed(seed)
    copy = Llama(model.config)
    copy.load_state_dict(model.state_dict())
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter += amount * parameter.std(correction=0) * torch.randn_like(parameter)
    return copy


def ppo(trajectory: Trajectory, golden: str, reference: Llama, tokenizer: Tokenizer) -> None:
    heading("6. PPO: reward of each token, -β (log π - log π_ref), and R on the last one")
    said = 'get_papers_by_keywords(query="cats")'
    prompt = encode_prompt(trajectory.tools, trajectory.messages[:3], tokenizer)
    actions = [*tokenizer.encode(said), tokenizer.eos_id]
    policy = perturbed(reference, 0.1, seed=0)
    with torch.no_grad():
        logp, ref_logp = (action_logp(model, prompt, actions) for model in (policy, reference))
    reward = call_reward(said, golden, trajectory.tools).value
    last = len(actions) - 1
    by_hand = [
        -BETA * (p - q) + (reward if i == last else 0.0)
        for i, (p, q) in enumerate(zip(logp.tolist(), ref_logp.tolist(), strict=True))
    ]
    call_rewards = torch.zeros(1, len(actions))
    call_rewards[0, last] = reward
    mask = torch.ones(1, len(actions), dtype=torch.bool)
    rewards = token_rewards(call_rewards, logp[None], ref_logp[None], mask, BETA)
    compare("sum of the rewards", sum(by_hand), rewards.sum().item())

    heading("7. GAE backwards over the tokens, with a critic that says 0.1 everywhere")
    values = torch.full_like(rewards, 0.1)
    advantages, returns = gae(rewards, values, mask, 1.0, LAMBDA)
    print(f"{'token':<16}      log π  log π_ref     reward  advantage")
    next_value = next_advantage = 0.0
    backwards = []
    for r in reversed(by_hand):
        next_advantage = r + next_value - 0.1 + LAMBDA * next_advantage
        next_value = 0.1
        backwards.append(next_advantage)
    for i, action in enumerate(actions):
        columns(repr(tokenizer.piece(action)), logp[i].item(), ref_logp[i].item(), by_hand[i], backwards[last - i])
    compare("advantage of the first token", backwards[last], advantages[0, 0].item())

    heading("8. The update: advantages whitened, the clipped objective once the policy has moved, the value loss")
    mean = sum(backwards) / len(backwards)
    std = math.sqrt(sum((a - mean) ** 2 for a in backwards) / len(backwards))
    white = [(a - mean) / max(std, 0.1) for a in reversed(backwards)]
    whitened = whiten(advantages, mask)
    compare("whitened advantage of the first token", white[0], whitened[0, 0].item())
    with torch.no_grad():
        moved = action_logp(perturbed(policy, 0.2, seed=1), prompt, actions)
    gains, clipped = [], 0
    for new, old, advantage in zip(moved.tolist(), logp.tolist(), white, strict=True):
        ratio = math.exp(new - old)
        bounded = min(max(ratio, 1 - CLIP), 1 + CLIP)
        gains.append(min(ratio * advantage, bounded * advantage))
        clipped += bounded * advantage < ratio * advantage
    loss = policy_loss(moved[None], logp[None], whitened, mask, CLIP)
    stats = policy_stats(moved[None], logp[None], whitened, mask, CLIP)
    compare("tokens whose gradient the clip stops", clipped, stats["clip_fraction"].item())
    compare("policy loss", -sum(gains) / len(gains), loss.item())
    errors = [0.5 * (0.1 - (advantage + 0.1)) ** 2 for advantage in backwards]
    compare("value loss", sum(errors) / len(errors), value_loss(values, values, returns, mask, CLIP).item())


def main() -> None:
    model, tokenizer = load_model(TINY, dtype=torch.float32).eval(), Tokenizer(TINY)
    trajectory = Trajectory.from_openai(RECORD)
    golden = trajectory.messages[3].content
    show_template(trajectory, tokenizer)
    show_categories(trajectory)
    sft(encode_trajectory(trajectory, tokenizer), model, tokenizer)
    show_rewards(trajectory, golden)
    ppo(trajectory, golden, model, tokenizer)


if __name__ == "__main__":
    main()
