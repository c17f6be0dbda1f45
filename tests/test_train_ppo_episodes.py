"""train_ppo.py on whole tasks: from requests to the policy, with the executor between."""

import runpy
import sys
import warnings
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from random import Random

import pytest
import torch
from runs import Crash, crash_at, digest, metrics

import train_ppo
from tl.executor.pool import PoolError
from tl.llama.model import Llama
from tl.llama.sampling import Completion
from tl.prompt import NO_TARGET
from tl.rl.batch import PPOBatch
from tl.synthesis.tasks import make_tasks
from tl.training.distributed import RankError, World

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def flags(toy_sft, tmp_path, monkeypatch) -> list[str]:
    """A run of two steps of two episodes each. The random model never ends a call: each episode is one format error."""
    few = partial(make_tasks, size=4)
    monkeypatch.setattr(train_ppo, "make_tasks", few)
    fixed = f"--rollout episode --model {toy_sft / 'model'} --out {tmp_path / 'run'} --max_length 4000"
    held_out = f"--eval_data {toy_sft / 'data.jsonl'} --eval_every 0"
    sizes = "--batch_size 2 --minibatch_size 2 --max_steps 2 --max_new_tokens 4 --show_every 1 --actor_lr 1e-2"
    return [*fixed.split(), *held_out.split(), *sizes.split()]


@pytest.fixture
def two_calls(small_tokenizer, monkeypatch) -> None:
    """Lets the policy say two calls an episode, one of two each time, as the seed decides; with the probabilities that
    it gives them."""
    first, second = ("nothing()", "no call"), ('finish(answer="Nothing.")', 'finish(answer="It is 7.")')

    class Scripted:
        def __init__(self, model: Llama, rows: int, *, eos_id: int):
            self.model, self.eos_id = model, eos_id

        def complete(self, prompts, max_new_tokens, temperature, *, seeds, logprobs) -> list[Completion]:
            return [self._say(prompt, Random(seed)) for prompt, seed in zip(prompts, seeds, strict=True)]

        @torch.no_grad()
        def _say(self, prompt: list[int], rng: Random) -> Completion:
            begun = small_tokenizer.decode(prompt).rpartition("User:")[2]
            texts = second if any(call in begun for call in first) else first
            ids = [*small_tokenizer.encode(rng.choice(texts)), self.eos_id]
            logp = self.model(torch.tensor([prompt + ids[:-1]]))[0, len(prompt) - 1 :].log_softmax(-1)
            return Completion(ids, logp[range(len(ids)), ids].tolist(), True)

    monkeypatch.setattr("tl.rl.episodes.Sampler", Scripted)


def steps(run: Path) -> list[dict]:
    return [line for line in metrics(run) if "reward" in line]


def test_episodes_are_played_scored_logged_and_learned_from(flags, tmp_path):
    assert train_ppo.main(flags) == 0
    assert [line["step"] for line in steps(tmp_path / "run")] == [1, 2]
    assert [line["kl"] for line in steps(tmp_path / "run")] == [0, 0]  # nothing to learn where all earn the same
    for line in steps(tmp_path / "run"):
        assert (
            line["reward"] == -2 and line["case/format_error"] == line["stop/cut"] == 1 and line["right_answers"] == 0
        )
        assert line["failed_rollouts"] == 0 and line["policy_steps"] == line["value_steps"] == 1
    text = (tmp_path / "run" / "rollouts" / "step-00000002.txt").read_text()
    assert text.count("---- reward -2.00, format error") == 2 and (tmp_path / "run" / "config.json").exists()


def test_updates_read_the_feedback_between_calls_and_learn_the_calls_alone(
    flags, two_calls, small_tokenizer, tmp_path, monkeypatch
):
    batches: list[PPOBatch] = []

    def train_step(models, batch, *others, original=train_ppo.train_step):
        batches.append(batch)
        return original(models, batch, *others)

    monkeypatch.setattr(train_ppo, "train_step", train_step)
    assert train_ppo.main([*flags, "--target_kl", "100"]) == 0
    feedbacks = {"nothing()": "name nothing is not defined", "no call": "SyntaxError: "}
    for example in (example for batch in batches for example in batch.examples):
        actions = example.targets[example.targets != NO_TARGET].tolist()
        end = actions.index(small_tokenizer.eos_id)
        first, second = (small_tokenizer.decode(ids) for ids in (actions[:end], actions[end + 1 :]))
        assert first in feedbacks and second.startswith("finish(")
        read = small_tokenizer.decode(example.input_ids.tolist())
        between = read.rpartition(f"Assistant: {first}")[2].partition("finish(")[0]
        assert feedbacks[first] in between
    for line in steps(tmp_path / "run"):
        assert line["policy_steps"] == line["value_steps"] == 1 and line["sampler_mismatch"] < 1e-4
    assert steps(tmp_path / "run")[1]["kl"] != 0


def test_a_run_on_episodes_that_died_and_resumed_equals_one_that_did_not(flags, two_calls, tmp_path, monkeypatch):
    whole, died = ([*flags, "--save_every", "1", "--out", str(tmp_path / name)] for name in ("whole", "died"))
    train_ppo.main(whole)
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(2, patch, train_ppo)
        train_ppo.main(died)
    assert train_ppo.main([*died, "--resume"]) == 0
    names = ("reward", "response_length", "kl", "policy_loss", "value_loss", "sampler_mismatch")
    one, other = ([[line[name] for name in names] for line in steps(tmp_path / run)] for run in ("whole", "died"))
    assert one == other and len(one) == 2 and digest(tmp_path / "whole") == digest(tmp_path / "died")


def test_it_learns_on_tasks_with_tools_of_ones_own(flags, two_calls, tmp_path, capsys):
    own = ["--tools", str(EXAMPLES / "inventory.py"), "--tasks", str(EXAMPLES / "inventory_test.jsonl")]
    assert train_ppo.main([*flags, *own, "--max_steps", "1"]) == 0
    [line] = steps(tmp_path / "run")
    assert line["failed_rollouts"] == 0
    assert "3 tools of inventory" in capsys.readouterr().out
    text = (tmp_path / "run" / "rollouts" / "step-00000001.txt").read_text()
    assert "def set_item_price(" in text and "get_weather" not in text


@pytest.mark.parametrize("own", [{"tasks": ["tasks.jsonl"]}, {"intercode": "nl2bash"}])
def test_tasks_for_other_tools_are_not_evaluated_on_the_librarys_requests(own, toy_sft, monkeypatch):
    monkeypatch.setattr(train_ppo, "read_or_make_tasks", lambda *_: make_tasks(size=2))
    config = train_ppo.PPOConfig(rollout="episode", max_length=4000, max_new_tokens=4, **own)
    data, held_out = train_ppo.prepare_data(config, toy_sft / "model", nullcontext())
    assert len(data.prompts) == 2 and held_out == []


# ---- an executor that does not start


def refuse(*_, **__) -> None:
    raise PoolError("a process of the pool did not start: no room")


def test_an_executor_that_does_not_start_is_one_line_and_leaves_the_old_run(flags, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    old = {"run_config.json": "{}", "config.json": "{}", "metrics.jsonl": '{"step": 1}\n'}
    for name, text in old.items():
        (tmp_path / "run" / name).write_text(text)
    monkeypatch.setattr("tl.executor.Pool", refuse)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # which the program sets
    for more in ([], ["--dry_run"]):
        monkeypatch.setattr(sys, "argv", ["train_ppo.py", *flags, "--overwrite", *more])
        with pytest.raises(SystemExit) as exit_info:
            runpy.run_path(train_ppo.__file__, run_name="__main__")
        assert exit_info.value.code == "error: a process of the pool did not start: no room"
        assert {path.name: path.read_text() for path in (tmp_path / "run").iterdir()} == old


def start_where_rank_1_cannot(world: World) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tl.rollout.options.Executor", refuse if world.rank == 1 else lambda *_, **__: nullcontext())
        with train_ppo.start_executor(train_ppo.PPOConfig(rollout="episode"), world):
            raise AssertionError("nothing may begin")


def test_an_executor_that_does_not_start_on_one_rank_ends_all(two_ranks):
    first, second = two_ranks.run(start_where_rank_1_cannot, timeout=60)
    assert isinstance(first, RankError) and "rank 1 failed: PoolError" in str(first) and isinstance(second, PoolError)
