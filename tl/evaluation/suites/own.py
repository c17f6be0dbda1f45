"""Generated held-out requests to the tool library: single turns, and whole episodes with real execution."""

from collections.abc import Sequence
from dataclasses import replace

from tl.calls import format_call
from tl.datasets import AUTO, OnBadData
from tl.datasets.questions import read_questions
from tl.evaluation.suites import EpisodeSuite, Suite, each, strict_score
from tl.executor import Executor
from tl.forms import Prediction
from tl.irm import call_reward
from tl.metrics import CallScore, Question
from tl.rollout.answers import facts_of, is_refusal, is_right
from tl.rollout.episodes import MAX_TURNS
from tl.rollout.tasks import read_tasks
from tl.schema import FINISH, SPOKEN
from tl.synthesis import LIBRARY, UNSEEN_TOOLKITS, Unseen, held_out
from tl.synthesis.environments import Environment, in_environment
from tl.synthesis.tasks import make_tasks

FAMILY = "Held-out requests: what was never seen, and noisy tools (section 6.1)"


def read_held_out(
    seed: int, name: str = "held-out", environment: Environment = "clean", unseen: Unseen = True
) -> Suite:
    """Single calls, in one of five environments: requests with phrasings or values, or both, that training never
    uses."""
    questions = [in_environment(question, environment, seed) for question in held_out(seed=seed, unseen=unseen)]
    noise = "" if environment == "clean" else f", environment {environment}"
    new = "phrasings and values" if unseen is True else unseen
    suite = _suite(questions, name, f"Held-out requests{noise}", f"{new} are never used in training")
    return replace(suite, family=FAMILY, variant=f"{environment}, unseen {new}")


def read_unseen_tools(seed: int) -> Suite:
    """Single calls with tools that training never uses either."""
    questions = held_out(seed=seed, toolkits=UNSEEN_TOOLKITS)
    suite = _suite(questions, "unseen-tools", "Requests to unseen tools", f"toolkits {', '.join(UNSEEN_TOOLKITS)}")
    return replace(suite, family=FAMILY, variant="clean, all of these and tools")


def trajectory_suite(paths: Sequence[str], on_bad: OnBadData, data_format: str = AUTO) -> Suite:
    """Every correct call of trajectory files. Raises tl.datasets.DataError as `read_questions` does."""
    note = f"{', '.join(paths)}: every correct call, or only the golden calls if all records end with them"
    return _suite(read_questions(paths, on_bad, data_format), "trajectories", "Calls of trajectories", note)


def _suite(questions: Sequence[Question], name: str, title: str, note: str) -> Suite:
    spoken = sum(_speaks(question) for question in questions)
    notes = [f"all {len(questions)} items; {note}"]
    scorings = {}
    if spoken:
        notes += [
            f"calls: the {len(questions) - spoken} items that need a tool, to the letter. answers: the {spoken} "
            "others: finish is right where it has the facts of the true answer and is no refusal; a question to the "
            "user, and an answer without facts, have no CF",
            "strict: all items, to the letter, wording of answers included. This is the CF that README and docs quote",
        ]
        scorings = {"calls": each(calls_score), "answers": each(answers_score)}
    reward = irm_reward if all(question.n_calls == 1 for question in questions) else None
    return Suite(name, title, tuple(questions), tuple(notes), scorings, reward=reward)


def _speaks(question: Question) -> bool:
    """Whether the golden call is an answer or a question to the user, whose wording can differ."""
    return question.answers[0][0].name in SPOKEN


def irm_reward(question: Question, prediction: Prediction) -> float:
    """R of Figure 2 without comparing text for the user, as by default in train_ppo.py."""
    text = format_call(prediction.calls[0]) if len(prediction.calls) == 1 else ""  # a format error
    return call_reward(text, question.golden, question.tools, SPOKEN).value


def calls_score(question: Question, prediction: Prediction) -> CallScore | None:
    """Strict score of the items whose golden call is that of a tool; None for the others."""
    return None if _speaks(question) else strict_score(question, prediction)


def answers_score(question: Question, prediction: Prediction) -> CallScore | None:
    """Score of the other items: an answer by its facts, as in whole episodes; without facts, TS and PI only."""
    if not _speaks(question):
        return None
    ts, pi, _ = strict_score(question, prediction)
    [golden] = question.answers[0]
    truth = str(golden.arguments.get("answer", ""))
    facts = facts_of(truth, [m.content for m in question.messages if m.role == "tool"])
    if golden.name != FINISH.name or not facts:
        return CallScore(ts, pi, None)
    said = str(prediction.calls[0].arguments["answer"]) if pi else ""
    return CallScore(ts, pi, pi and not is_refusal(said) and is_right(said, truth, facts))


def read_episodes(seed: int, size: int, require_isolation: bool = False) -> EpisodeSuite:
    """Whole episodes with real execution. Raises tl.executor.IsolationError as `tl.executor.Executor` does."""
    executor = Executor(LIBRARY, seed, require_isolation=require_isolation)
    requests = tuple(task.request(executor) for task in make_tasks(seed, size, unseen=True))
    refused = sum(not request.servable for request in requests)
    notes = (
        f"{len(requests)} requests, phrasings and values never used in training, {refused} of them cannot be served",
        "an answer is right if it has the numbers of the true answer, and the texts that this took from the tools",
    )
    return EpisodeSuite("episodes", "Held-out episodes", requests, notes)


def task_suite(paths: Sequence[str], executor: Executor) -> EpisodeSuite:
    """The tasks of the user's files, with the executor's tools. Raises tl.datasets.DataError as `read_tasks` does."""
    tasks = read_tasks(paths, executor)
    requests = tuple(task.request(executor) for task in tasks)
    long = [
        task.id for task in tasks if task.calls and len(task.calls) + (task.calls[-1].name != FINISH.name) > MAX_TURNS
    ]
    known = sum(request.truth is not None or request.check is not None for request in requests)
    notes = [
        f"{len(requests)} tasks of {', '.join(paths)}, {known} of them with an answer or a check",
        "an answer is right if it has what the task's answer has to say, and the task's check agrees",
    ]
    if long:
        notes.append(
            f"{len(long)} tasks have more golden calls, finish included, than an episode has turns ({MAX_TURNS}), "
            f"{long[0]} first: a model that makes one call a turn cannot solve them"
        )
    return EpisodeSuite("tasks", "Your tasks", requests, tuple(notes))
