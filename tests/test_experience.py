"""Rollouts of PPO: which tokens are actions, what they earn, and that nothing but their seed decides what is drawn."""

import copy
import itertools
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest
import torch
from checkpoints import make_model, with_large_weights

from tl.assets import TINY
from tl.calls import Call, format_call
from tl.executor import Cause, Executor, Feedback, Session
from tl.irm import REWARDS, RewardCase
from tl.llama import Llama, Tokenizer
from tl.llama.cache import room_for
from tl.llama.sampling import Completion
from tl.mae import ErrorCategory, classify_feedback
from tl.metrics import Question
from tl.prompt import NO_TARGET, encode_feedback, encode_prompt, encode_trajectory
from tl.rl.calls import Experience, sample_calls
from tl.rl.config import PPOConfig
from tl.rl.data import task_data
from tl.rl.episodes import sample_episodes
from tl.rollout.dialogue import StopReason
from tl.rollout.episodes import MAX_TURNS
from tl.rollout.tasks import Task
from tl.schema import BUILT_INS, ToolSpec
from tl.synthesis import LIBRARY, make_episodes
from tl.synthesis.episodes import Episode
from tl.synthesis.tasks import make_tasks, task_of
from tl.trajectory import Message

CONFIG = PPOConfig(max_new_tokens=25)
SEARCH = ToolSpec("search", "", {"query": {"type": "string"}}, ("query",))
CATS = Call("search", {"query": "cats"})
OUT_OF_REACH = "The tools are out of reach."


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(TINY)


@pytest.fixture(scope="module")
def model(tokenizer) -> Llama:
    """Says nothing of sense, but every token depends on all before it, and one in ten or so ends the call. In float64,
    so that rounding decides nothing."""
    model = make_model(vocab_size=tokenizer.vocab_size, max_position_embeddings=2048).double()
    with_large_weights(model)
    model.lm_head.bias = torch.nn.Parameter(torch.zeros(tokenizer.vocab_size, dtype=torch.float64))
    model.lm_head.bias.data[tokenizer.eos_id] = 7.0
    return model


@pytest.fixture(scope="module")
def tasks(tokenizer) -> list[Task]:
    return task_data(make_tasks(size=60), tokenizer, 1024).prompts


@cache
def episodes() -> dict[str, Episode]:
    """What the tasks were made from, by their ids."""
    return {episode.trajectory.id: episode for episode in make_episodes(60)}


def episode_of(task: Task) -> Episode:
    return episodes()[task.id]


@pytest.fixture(scope="module")
def prompts(tasks) -> list[Question]:
    """The first call of each task."""
    return [Question(t.id, t.tools, (), (t.calls[:1],), prompt_ids=t.prompt_ids) for t in tasks[:8]]


@pytest.fixture(scope="module")
def executor():
    with Executor(LIBRARY) as executor:
        yield executor


@pytest.fixture
def script(monkeypatch, tokenizer):
    """Makes the policy say given texts, turn by turn: those of the task whose prompt it is asked to continue. A text
    that ends in … is cut there."""
    texts: dict[tuple[int, ...], list[str]] = {}

    class Scripted:
        def __init__(self, model, rows, *, eos_id):
            self.eos_id = eos_id

        def complete(self, prompts, max_new_tokens, temperature, *, seeds, logprobs):
            assert len(seeds) == len(prompts) and logprobs
            return [
                self._say(next(said for start, said in texts.items() if tuple(p[: len(start)]) == start))
                for p in prompts
            ]

        def _say(self, said: list[str]) -> Completion:
            text = said.pop(0)
            ids = tokenizer.encode(text.removesuffix("…")) + [self.eos_id] * (not text.endswith("…"))
            return Completion(ids, [-0.5] * len(ids), not text.endswith("…"))

    def say(started: Question | Task, said: Sequence[str]) -> None:
        texts[tuple(started.prompt_ids)] = list(said)

    monkeypatch.setattr("tl.rl.episodes.Sampler", Scripted)
    monkeypatch.setattr("tl.rl.calls.Sampler", Scripted)
    return say


def teacher_forced(model: Llama, experience: Experience) -> torch.Tensor:
    """log π of each action, by a forward over the whole sequence."""
    with torch.no_grad():
        logp = model(torch.tensor([experience.ids]))[0].log_softmax(-1)
    return logp[experience.positions].gather(-1, torch.tensor(experience.actions)[:, None])[:, 0]


# ---- one call a prompt


def prompt_of(tokenizer: Tokenizer, golden: Call = CATS, history: str = "") -> Question:
    messages = (Message("user", f"Find cats. {history}"),)
    tools = (SEARCH, *BUILT_INS)
    return Question("p", tools, messages, ((golden,),), prompt_ids=encode_prompt(tools, messages, tokenizer))


def test_positions_predict_the_actions_with_the_probabilities_that_the_sampler_saw(model, tokenizer, prompts):
    model = copy.deepcopy(model).float()
    for experience in sample_calls(model, tokenizer, prompts, CONFIG, range(8)):
        difference = teacher_forced(model, experience) - torch.tensor(experience.sampler_logprobs)
        assert difference.abs().max() < 1e-4


def test_the_actions_are_the_drawn_tokens_and_nothing_else(model, tokenizer, prompts):
    experiences = sample_calls(model, tokenizer, prompts, CONFIG, range(8))
    finished = [e.actions[-1] == tokenizer.eos_id for e in experiences]
    assert set(finished) == {True, False}
    for prompt, experience, ended in zip(prompts, experiences, finished, strict=True):
        n = len(experience.actions)
        assert ended or n == CONFIG.max_new_tokens
        assert experience.ids == prompt.prompt_ids + experience.actions[:-1]
        assert experience.positions == list(range(len(prompt.prompt_ids) - 1, len(prompt.prompt_ids) - 1 + n))
        assert tokenizer.eos_id not in experience.ids
        assert [call.text for call in experience.calls] == [tokenizer.decode(experience.actions)]


def test_the_reward_stands_on_the_last_action(model, tokenizer, prompts):
    for experience in sample_calls(model, tokenizer, prompts, CONFIG, range(8)):
        [call] = experience.calls
        assert call.reward == REWARDS[call.case] and call.feedback is None
        assert experience.rewards == [0.0] * (len(experience.actions) - 1) + [call.reward]


@pytest.mark.parametrize(
    ("said", "case"),
    [
        ('search(query="cats")', RewardCase.ALL_RIGHT),
        ('search(query="dogs")', RewardCase.CONTENT),
        ('find(query="cats")', RewardCase.TOOL_HALLUCINATION),
        ("I will search for cats.", RewardCase.FORMAT_ERROR),
        ("", RewardCase.FORMAT_ERROR),
        ('search(query="cats")…', RewardCase.FORMAT_ERROR),  # cut: it never said that this was all
    ],
)
def test_a_call_is_scored_against_the_golden_one(said, case, script, tokenizer):
    script(prompt := prompt_of(tokenizer), [said])
    [experience] = sample_calls(None, tokenizer, [prompt], CONFIG, [0])
    assert experience.calls[0].case is case and experience.rewards[-1] == REWARDS[case]
    assert experience.stop is (StopReason.CUT if said.endswith("…") else StopReason.FINISHED)
    assert experience.calls[0].golden == 'search(query="cats")'


def test_what_stands_in_the_context_earns_nothing(script, tokenizer):
    script(prompt := prompt_of(tokenizer, history='search(query="cats")'), ["cats"])
    [experience] = sample_calls(None, tokenizer, [prompt], CONFIG, [0])
    assert experience.calls[0].case is RewardCase.FORMAT_ERROR


@pytest.mark.parametrize("compare_text", [False, True])
def test_what_is_said_to_the_user_is_compared_only_if_asked_for_but_names_always(compare_text, script, tokenizer):
    config = replace(CONFIG, compare_text=compare_text)
    cases = []
    for said in ('finish(answer="Here they are.")', 'finish(text="Here they are.")'):
        script(prompt := prompt_of(tokenizer, Call("finish", {"answer": "Done."})), [said])
        [experience] = sample_calls(None, tokenizer, [prompt], config, [0])
        cases.append(experience.calls[0].case)
    assert cases == [
        RewardCase.CONTENT if compare_text else RewardCase.ALL_RIGHT,
        RewardCase.HALLUCINATED_AND_ANOTHER,
    ]


@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_a_sample_depends_on_its_seed_alone(batch_size, model, tokenizer, prompts, monkeypatch):
    whole = sample_calls(model, tokenizer, prompts, CONFIG, range(8))
    monkeypatch.setattr("tl.rl.calls.MAX_ROWS", batch_size)
    backwards = sample_calls(model, tokenizer, prompts[::-1], CONFIG, range(7, -1, -1))[::-1]
    parts = [sample_calls(model, tokenizer, prompts[i : i + 2], CONFIG, [i, i + 1]) for i in (4, 0, 6, 2)]
    for other in (backwards, parts[1] + parts[3] + parts[0] + parts[2]):
        assert [e.actions for e in other] == [e.actions for e in whole]
    again = sample_calls(model, tokenizer, prompts, CONFIG, range(1, 9))
    assert [e.actions for e in again] != [e.actions for e in whole]


def test_as_many_episodes_run_at_a_time_as_their_prompts_leave_room_for(model, tokenizer, executor, tasks, monkeypatch):
    """However long the model's context is."""
    longest = max(len(task.prompt_ids) for task in tasks[:4]) + CONFIG.max_new_tokens
    monkeypatch.setattr("tl.llama.sampling.CACHED_TOKENS", 3 * room_for(longest))

    def play(requests, policy, parallel, **_):
        assert parallel == policy.draw.args[0].rows == 3
        raise InterruptedError

    monkeypatch.setattr("tl.rl.episodes.play", play)
    with pytest.raises(InterruptedError):
        sample_episodes(model, tokenizer, tasks[:4], executor, CONFIG, range(4))


def test_a_rank_without_prompts_samples_nothing(model, tokenizer):
    assert sample_calls(model, tokenizer, [], CONFIG, []) == []
    assert sample_episodes(model, tokenizer, [], None, CONFIG, []) == []


# ---- whole episodes


def of_kind(tasks: Sequence[Task], kind: str, calls: int = 2) -> Task:
    """A task of a kind whose solution has so many calls, ``finish`` included."""
    return next(t for t in tasks if episode_of(t).spec.kind == kind and len(t.calls) == calls)


def solution(task: Task) -> list[str]:
    return [format_call(call) for call in task.calls]


def play(model, tokenizer, executor, task: Task, script, said: Sequence[str]) -> Experience:
    script(task, said)
    [experience] = sample_episodes(model, tokenizer, [task], executor, CONFIG, [0])
    return experience


@pytest.mark.parametrize(("kind", "calls"), [("plain", 2), ("plain", 3), ("ask", 3), ("refusal", 1)])
def test_an_episode_that_follows_the_solution_is_the_training_example_of_its_trajectory(
    kind, calls, model, tokenizer, executor, tasks, script
):
    task = of_kind(tasks, kind, calls)
    experience = play(model, tokenizer, executor, task, script, solution(task))
    example = encode_trajectory(episode_of(task).trajectory, tokenizer)
    assert experience.ids == example.input_ids.tolist()
    assert experience.positions == (example.targets != NO_TARGET).nonzero()[:, 0].tolist()
    assert experience.actions == example.targets[example.targets != NO_TARGET].tolist()
    assert experience.right and [c.case for c in experience.calls] == [RewardCase.ALL_RIGHT] * calls
    assert [c.reward for c in experience.calls] == [1.0] * (calls - 1) + [2.0]  # the answer is right, too
    ends = [a for a, action in enumerate(experience.actions) if action == tokenizer.eos_id]
    assert [experience.rewards[a] for a in ends] == [c.reward for c in experience.calls]
    assert sum(map(abs, experience.rewards)) == calls + 1 and experience.stop is StopReason.FINISHED


def test_with_the_outcome_as_reward_no_call_earns_anything_but_the_last(model, tokenizer, executor, tasks, script):
    task, config = of_kind(tasks, "plain"), replace(CONFIG, reward="outcome")
    for answer, right in ((solution(task)[-1], 1.0), ('finish(answer="Nothing.")', 0.0)):
        script(task, ["nothing()", solution(task)[0], answer])
        [experience] = sample_episodes(model, tokenizer, [task], executor, config, [0])
        assert [c.reward for c in experience.calls] == [0.0, 0.0, right] and sum(experience.rewards) == right
        cases = [RewardCase.TOOL_HALLUCINATION, RewardCase.ALL_RIGHT, RewardCase.ALL_RIGHT]
        assert [c.case for c in experience.calls] == cases  # which are logged all the same


def test_giving_up_earns_no_more_than_failing_to_the_end(model, tokenizer, executor, tasks, script):
    task = of_kind(tasks, "plain")
    stuck = play(model, tokenizer, executor, task, script, ["nothing()"] * MAX_TURNS)
    resigned = play(model, tokenizer, executor, task, script, ["nothing()", 'finish(answer="I cannot say.")'])
    assert sum(stuck.rewards) == sum(resigned.rewards) == -2.0


@pytest.mark.parametrize(
    ("said", "reward"),
    [
        ("no call", -2.0),
        ("nothing()", -2.0),
        ('ask_to_user(question="What?", mood="good")', -0.8),
        ("ask_to_user()", -0.5),
        ('get_paper(paper_id="nothing")', -0.25),
        ("get_paper(paper_id={})", -0.25),
        ('ask_to_user(question="Well?")', 0.0),
        ('finish(answer="All is well.")', 0.0),
    ],
)
def test_off_the_way_of_the_solution_a_call_is_scored_by_its_feedback(said, reward, model, tokenizer, executor, script):
    papers = make_episodes(30, mix=(1, 0, 0), toolkits=("papers",))
    trajectory, episode = next((e.trajectory, e) for e in papers if "get_paper" in [t.name for t in e.trajectory.tools])
    task = replace(task_of(episode), prompt_ids=encode_prompt(trajectory.tools, trajectory.messages[:1], tokenizer))
    detour = 'ask_to_user(question="Why?")'  # works, and is not what the solution does
    experience = play(model, tokenizer, executor, task, script, [detour, said, 'finish(answer="Nothing.")'])
    first, second = experience.calls[:2]
    assert first.case is RewardCase.WRONG_TOOL and first.golden == solution(task)[0]
    assert second.reward == reward and second.golden is None
    assert second.case is None or REWARDS[second.case] == reward


def test_an_outage_is_not_the_calls_doing(model, tokenizer, executor, tasks, script):
    task = next(t for t in tasks if episode_of(t).task.retried)
    detour = 'ask_to_user(question="Why?")'
    experience = play(model, tokenizer, executor, task, script, [detour, solution(task)[0], *solution(task)])
    assert classify_feedback(experience.calls[1].feedback) is ErrorCategory.TOOL_INSTABILITY
    assert [c.reward for c in experience.calls[1:]] == [0.0] * len(solution(task)) + [1.0] and experience.right


def test_the_golden_call_stays_due_until_its_tool_works(model, tokenizer, executor, tasks, script):
    task = next(t for t in tasks if episode_of(t).task.retried)
    call, *rest = solution(task)
    assert task_of(episode_of(task), retries=True).calls == (task.calls[0], *task.calls)
    experience = play(model, tokenizer, executor, task, script, [call, call, *rest])
    assert [c.reward for c in experience.calls] == [0.0] + [1.0] * len(rest) + [2.0]
    golden = task.calls[0]
    other = format_call(Call(golden.name, {key: "no such" for key in golden.arguments}))
    experience = play(model, tokenizer, executor, task, script, [other, call, *rest])  # the outage hits the wrong call
    assert classify_feedback(experience.calls[0].feedback) is ErrorCategory.TOOL_INSTABILITY
    assert [c.reward for c in experience.calls[1:]] == [1.0] * len(rest) + [2.0] and experience.right


def test_saying_nothing_is_no_refusal(model, tokenizer, executor, tasks, script):
    task = of_kind(tasks, "refusal", 1)
    experience = play(model, tokenizer, executor, task, script, ['finish(answer=" ")'])
    assert not experience.right and [c.reward for c in experience.calls] == [1.0]


def test_a_right_answer_counts_on_any_way(model, tokenizer, executor, tasks, script):
    task = of_kind(tasks, "plain")
    said = ['ask_to_user(question="Why?")', solution(task)[-1]]
    experience = play(model, tokenizer, executor, task, script, said)
    assert experience.right and [c.reward for c in experience.calls] == [-1.5, 1.0]


def test_a_refusal_is_right_only_where_nothing_can_be_done(model, tokenizer, executor, tasks, script):
    refusal = solution(of_kind(tasks, "refusal", 1))
    served = play(model, tokenizer, executor, of_kind(tasks, "plain"), script, refusal)
    assert not served.right and [c.reward for c in served.calls] == [-1.5]
    answered = play(model, tokenizer, executor, of_kind(tasks, "refusal", 1), script, ['finish(answer="It is 7.")'])
    assert not answered.right and [c.reward for c in answered.calls] == [1.0]


def test_an_episode_has_nine_turns_at_most_and_its_ids_end_with_the_last_call(
    model, tokenizer, executor, tasks, script
):
    experience = play(model, tokenizer, executor, of_kind(tasks, "plain"), script, ["no call"] * 20)
    assert len(experience.calls) == MAX_TURNS and not experience.right and experience.stop is StopReason.TURNS
    assert experience.positions[-1] == len(experience.ids) - 1


def test_a_call_that_was_cut_is_not_run_and_ends_the_episode(model, tokenizer, executor, tasks, script):
    task = of_kind(tasks, "plain")
    experience = play(model, tokenizer, executor, task, script, [solution(task)[0] + "…", *solution(task)])
    assert [(c.reward, c.feedback) for c in experience.calls] == [(-2.0, None)] and not experience.right
    assert experience.rewards[-1] == -2.0 and tokenizer.eos_id not in experience.actions
    assert experience.stop is StopReason.CUT


def test_an_episode_ends_without_blame_where_another_call_has_no_room(tokenizer, executor, tasks, script):
    task = of_kind(tasks, "plain")
    model = make_model(vocab_size=tokenizer.vocab_size)
    model.config = replace(model.config, max_position_embeddings=len(task.prompt_ids) + CONFIG.max_new_tokens)
    experience = play(model, tokenizer, executor, task, script, solution(task))
    assert [c.reward for c in experience.calls] == [1.0] and experience.stop is StopReason.CONTEXT


def test_long_feedback_is_cut_as_in_training(tokenizer, executor, tasks, script, monkeypatch):
    task = of_kind(tasks, "plain")
    model = make_model(vocab_size=tokenizer.vocab_size, max_position_embeddings=8192)

    def talks(session, text):
        yield from ()
        return Feedback("ab " * 5000, Cause.OK)

    monkeypatch.setattr(Session, "steps", talks)
    experience = play(model, tokenizer, executor, task, script, ["f()", "g()…"])
    messages = (*task.messages, Message("assistant", "f()", True), Message("tool", "ab " * 5000))
    before = encode_prompt(task.tools, messages, tokenizer)
    assert experience.ids == before + tokenizer.encode("g()")[:-1]


def test_an_episode_in_which_the_executor_fails_is_none_and_the_others_go_on(
    model, tokenizer, executor, tasks, script, monkeypatch
):
    chosen = [of_kind(tasks, kind, calls) for kind, calls in (("plain", 2), ("ask", 3), ("refusal", 1))]
    for task in chosen:
        script(task, solution(task))

    def fails_for_questions(session, text, steps=Session.steps):
        feedback = yield from steps(session, text)
        return Feedback(OUT_OF_REACH, Cause.INFRASTRUCTURE) if "ask_to_user" in text else feedback

    monkeypatch.setattr(Session, "steps", fails_for_questions)
    with pytest.warns(UserWarning, match=f"episode {chosen[1].id} is left out. {OUT_OF_REACH}"):
        first, failed, last = sample_episodes(model, tokenizer, chosen, executor, CONFIG, range(3))
    assert failed is None and first.right and last.right


def test_an_executor_that_is_gone_gives_no_experience(model, tokenizer, tasks, script):
    chosen = [of_kind(tasks, "plain"), of_kind(tasks, "ask", 3)]
    for task in chosen:
        script(task, solution(task))
    with Executor(LIBRARY, workers=1) as executor:
        executor.close()
        with pytest.warns(UserWarning, match="is left out. The executor failed"):
            experiences = sample_episodes(model, tokenizer, chosen, executor, CONFIG, range(2))
        assert experiences == [None, None]


def test_tools_of_one_half_run_while_the_other_half_speaks_and_while_its_tools_run(
    model, tokenizer, executor, tasks, script, monkeypatch
):
    one, other = of_kind(tasks, "plain"), of_kind(tasks, "ask", 3)
    seen: list[str] = []
    both = threading.Event()

    def waits_for_the_other_half(session, text, steps=Session.steps):
        seen.append(text)
        if len(seen) == 2:
            both.set()
        assert both.wait(timeout=20), "the policy or the tools of the other half waited for these"
        return (yield from steps(session, text))

    monkeypatch.setattr(Session, "steps", waits_for_the_other_half)
    for task in (one, other):
        script(task, solution(task))
    experiences = sample_episodes(model, tokenizer, [one, other], executor, CONFIG, range(2))
    assert all(e.right for e in experiences)
    assert sorted(seen[:2]) == sorted([solution(one)[0], solution(other)[0]])


def test_sampled_episodes_keep_the_tokens_and_probabilities_of_the_sampler(model, tokenizer, executor, tasks):
    model = copy.deepcopy(model).float()
    experiences = sample_episodes(model, tokenizer, tasks[:4], executor, CONFIG, range(4))
    assert max(len(e.calls) for e in experiences) > 2
    for task, episode in zip(tasks[:4], experiences, strict=True):
        difference = teacher_forced(model, episode) - torch.tensor(episode.sampler_logprobs)
        assert difference.abs().max() < 1e-4
        assert len(episode.positions) == len(episode.actions) == len(episode.rewards)
        ids, drawn = list(task.prompt_ids), iter(episode.actions)
        for call in episode.calls:
            ids += itertools.takewhile(lambda action: action != tokenizer.eos_id, drawn)
            ids += encode_feedback(call.feedback, tokenizer) if call is not episode.calls[-1] else []
        assert ids[: len(episode.ids)] == episode.ids and len(ids) - len(episode.ids) <= 1


@pytest.mark.parametrize("batch_size", [1, 3])
def test_an_episode_depends_on_its_seed_alone(batch_size, model, tokenizer, executor, tasks, monkeypatch):
    whole = sample_episodes(model, tokenizer, tasks[:4], executor, CONFIG, range(4))
    monkeypatch.setattr("tl.rl.episodes.MAX_ROWS", batch_size)
    other = sample_episodes(model, tokenizer, tasks[3::-1], executor, CONFIG, range(3, -1, -1))
    assert other[::-1] == [
        replace(e, sampler_logprobs=o.sampler_logprobs) for e, o in zip(whole, other[::-1], strict=True)
    ]
    again = sample_episodes(model, tokenizer, tasks[:4], executor, CONFIG, range(4, 8))
    assert all(a.actions != e.actions for a, e in zip(again, whole, strict=True))
