"""Asks any model for its next turn, or for all the calls that a single-turn item requires."""

import enum
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tl.calls import call_or_none
from tl.forms import Prediction, read_prediction
from tl.metrics import Question
from tl.schema import FINISH, SPOKEN, ToolSpec
from tl.trajectory import Message


class StopReason(enum.Enum):
    """Why a rollout ended."""

    FINISHED = "finished"  # with `finish`, or with the one call that was asked for
    CUT = "cut"  # in the middle of a turn that reached the token limit
    TURNS = "turns"  # the episode reached its limit of turns
    CONTEXT = "context"  # the context has no room for another turn
    EXECUTOR = "executor"  # the executor itself failed
    POLICY = "policy"  # the model cannot be reached


class Dialogue(NamedTuple):
    """A conversation in which the model's turn is due. `prompt_ids` are its tokens, empty until it is tokenised.
    `number` is the episode's."""

    tools: tuple[ToolSpec, ...]
    messages: tuple[Message, ...]
    prompt_ids: Sequence[int] = ()
    number: int = 0


class Response(NamedTuple):
    """The calls of one turn as text, normally one; text that is not a call is kept as it is.

    `stop` is CUT if the text was cut, CONTEXT or POLICY if there is no text; `note` says so in words. An answer with a
    note is wrong (see `prediction_of`).
    """

    texts: tuple[str, ...] = ()
    note: str = ""
    stop: StopReason | None = None


Policy = Callable[[Sequence[Dialogue]], list[Response]]


def ask(questions: Sequence[Question], policy: Policy) -> list[Response]:
    """The model's answer to each question, with all its calls in one Response.

    If several calls are due, each is followed by an empty output and the model continues until it has made as many
    calls as the answer has (one more with `to_the_end`, where it must stop by itself), or until it says something other
    than a further call, such as `finish`.
    """
    answers = [Response() for _ in questions]
    due = list(range(len(questions)))
    while due:
        turns = policy([_dialogue(questions[i], answers[i].texts) for i in due])
        open_before, due = due, []
        for i, turn in zip(open_before, turns, strict=True):
            before, calls = answers[i].texts, map(call_or_none, turn.texts)
            names = {call.name if call else None for call in calls}  # None: text that is not a call
            finishes = names == {FINISH.name}
            calls_no_tool = names <= {None, *SPOKEN} and turn.stop is not StopReason.POLICY
            if before and (finishes or (calls_no_tool and len(before) >= questions[i].n_calls)):
                continue  # the model stops; its answer is the calls before
            answers[i] = turn._replace(texts=before + turn.texts)
            may_go_on = bool(names) and not names & {None, FINISH.name} and not turn.note
            if may_go_on and len(answers[i].texts) < questions[i].n_calls + questions[i].to_the_end:
                due.append(i)
    return answers


def prediction_of(answer: Response) -> Prediction:
    """Text in the Table 13 format as a prediction."""
    if answer.note:
        return Prediction(answer.texts, (), answer.note, is_whole=False)
    return read_prediction(answer.texts, "call")


def _dialogue(question: Question, texts: Sequence[str]) -> Dialogue:
    if not texts:
        return Dialogue(question.tools, question.messages, question.prompt_ids)
    turns = [m for text in texts for m in (Message("assistant", text, is_call=True), Message("tool", ""))]
    return Dialogue(question.tools, (*question.messages, *turns))
