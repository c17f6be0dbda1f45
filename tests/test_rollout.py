"""Episodes between a model and the executor: turns, what is counted, real and right answers, several calls an item."""

import json
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import pytest

from tl.calls import Call
from tl.evaluation.journal import Journal
from tl.evaluation.suites import own, strict_score
from tl.executor import Cause, Feedback, Verdict
from tl.mae import ErrorCategory
from tl.metrics import CallScore, EpisodeOutcome, Question, score_episodes
from tl.rollout.answers import REFUSALS, facts_of, is_forced, is_refusal, is_right
from tl.rollout.dialogue import Response, StopReason, ask, prediction_of
from tl.rollout.episodes import MAX_TURNS, Request, Rollout, final_answer, outcome, play
from tl.schema import BUILT_INS
from tl.synthesis import make_episodes
from tl.trajectory import Message, Trajectory

OUT = Response(note="out of reach", stop=StopReason.POLICY)
START = (Message("user", "Hello"),)
RIGHT, FAILURE = ErrorCategory.ALL_RIGHT, ErrorCategory.TOOL_CALL_FAILURE


class Echo:
    """A session that repeats what it is given; "bad" is no call, on "down" the executor fails, `finish` ends it. So do
    its checks."""

    def __init__(self):
        self.finished = False

    def steps(self, text):
        yield from ()
        self.finished = text.startswith("finish(")
        causes = {"bad": Cause.FORMAT_ERROR, "down": Cause.INFRASTRUCTURE}
        return Feedback(f"echo {text}", causes.get(text, Cause.OK))

    def check_steps(self, name, answer):
        yield from ()
        return Verdict(None, "no room") if name == "down" else Verdict(answer == name)


def request(name="r", **settings):
    return Request(name, BUILT_INS, START, lambda: nullcontext(Echo()), **settings)


def scripted(scripts):
    """A policy that says the next text of the script of each dialogue's first message."""

    def policy(dialogues):
        return [Response((scripts[sum(m.is_call for m in d.messages)],)) for d in dialogues]

    return policy


def test_an_episode_ends_with_finish_and_keeps_what_was_said():
    [(index, rollout)] = play([request()], scripted(["bad", "f(x=1)", 'finish(answer="Six.")']), 4)
    assert index == 0 and rollout.answer == "Six." and rollout.categories == (FAILURE, RIGHT, RIGHT)
    assert rollout.stop is StopReason.FINISHED
    assert [m.content for m in rollout.trajectory.messages[1:]] == [
        "bad",
        "echo bad",
        "f(x=1)",
        "echo f(x=1)",
        'finish(answer="Six.")',
    ]
    assert Rollout.from_json(json.loads(json.dumps(rollout.to_json()))) == rollout


def test_an_episode_has_nine_turns_at_most():
    [(_, rollout)] = play([request()], scripted(["f()"] * 20), 4)
    assert len(rollout.categories) == MAX_TURNS == 9 and rollout.answer is None and rollout.stop is StopReason.TURNS


def test_episodes_run_side_by_side_and_each_is_given_once():
    asked = []

    def policy(dialogues):
        asked.append(len(dialogues))
        return [Response(('finish(answer="x")',)) for _ in dialogues]

    done = dict(play([request(str(i)) for i in range(5)], policy, 2))
    assert [done[i].trajectory.id for i in range(5)] == list("01234") and asked == [2, 2, 1]


def test_a_model_out_of_reach_breaks_the_episode_off():
    [(_, rollout)] = play([request()], lambda ds: [Response(note="no answer", stop=StopReason.POLICY) for _ in ds], 1)
    assert rollout.stop is StopReason.POLICY and rollout.categories == () and rollout.note == "no answer"


@pytest.mark.parametrize("text", ["f(x=", 'finish(answer="12")'])  # the second only looks whole
@pytest.mark.parametrize(("strict", "stop", "calls"), [(False, StopReason.FINISHED, 2), (True, StopReason.CUT, 1)])
def test_a_call_that_was_cut_is_a_format_error_and_ends_a_strict_episode(text, strict, stop, calls):
    def policy(dialogues):
        begun = len(dialogues[0].messages) > 1
        return [Response(('finish(answer="x")',)) if begun else Response((text,), "cut", StopReason.CUT)]

    [(_, rollout)] = play([request()], policy, 1, strict=strict)
    assert rollout.stop is stop and len(rollout.trajectory.calls()) == calls
    assert rollout.categories == (() if strict else (FAILURE, RIGHT))


@pytest.mark.parametrize(("strict", "stop"), [(False, StopReason.FINISHED), (True, StopReason.EXECUTOR)])
def test_an_episode_goes_on_where_the_executor_failed_unless_strict(strict, stop):
    [(_, rollout)] = play([request()], scripted(["down", 'finish(answer="x")']), 1, strict=strict)
    assert rollout.stop is stop and rollout.categories[0] is None


@pytest.mark.parametrize(("check", "right"), [("x", True), ("y", False), ("down", None)])
def test_an_answer_that_the_executor_could_not_check_is_neither_right_nor_wrong(check, right, recwarn):
    asked = request(check=check, truth="x")
    [(_, rollout)] = play([asked], scripted(['finish(answer="x")']), 1)
    assert rollout.checked is right and outcome(asked, rollout).right is right
    scores = score_episodes([outcome(asked, rollout)])
    assert scores.n_answerable == (right is not None)
    assert [str(w.message) for w in recwarn] == ([] if check != "down" else ["r is not judged: no room"])
    assert outcome(asked, replace(rollout, answer="z")).right is False, "the answer says something else than the truth"


def test_a_strict_episode_ends_where_the_executor_could_not_check_the_answer():
    [(_, rollout)] = play([request(check="down")], scripted(['finish(answer="x")']), 1, strict=True)
    assert rollout.stop is StopReason.EXECUTOR and rollout.note == "no room"


def test_a_prompt_without_room_ends_the_episode():
    def policy(dialogues):
        return [Response(note="no room", stop=StopReason.CONTEXT) for _ in dialogues]

    [(_, rollout)] = play([request()], policy, 1)
    assert rollout.stop is StopReason.CONTEXT and rollout.note == "no room" and rollout.categories == ()


def test_a_turn_of_several_calls_runs_them_in_order_up_to_finish():
    [(_, rollout)] = play([request()], lambda _: [Response(("f()", 'finish(answer="x")', "g()"))], 1)
    assert [call.content for call, _ in rollout.trajectory.calls()] == ["f()", 'finish(answer="x")']


def test_groups_take_turns_and_play_the_same_episodes():
    asked = []

    def policy(dialogues):
        asked.append([d.number for d in dialogues])
        return [Response(("f()" if len(d.messages) == 1 else 'finish(answer="x")',)) for d in dialogues]

    requests = [request(str(i)) for i in range(5)]
    together, apart = (dict(play(requests, policy, 3, n_groups=n)) for n in (1, 2))
    assert together == apart
    assert asked == [[0, 1, 2], [0, 1, 2], [3, 4], [3, 4]] + [[0, 1], [2], [0, 1], [2], [3, 4], [3, 4]]


def test_sessions_are_closed_however_the_loop_ends():
    opened, closed = [], []

    @contextmanager
    def session():
        opened.append(one := Echo())
        yield one
        closed.append(one)

    def policy(dialogues):
        if len(opened) == 2 and any(len(d.messages) > 1 for d in dialogues):
            raise KeyboardInterrupt
        return [Response(("f()",)) for _ in dialogues]

    with pytest.raises(KeyboardInterrupt):
        list(play([Request(str(i), BUILT_INS, START, session) for i in range(3)], policy, 2, n_groups=2))
    assert len(opened) == 2 and opened == closed


def test_the_golden_calls_of_our_own_episodes_score_in_full():
    made = [e.trajectory for e in make_episodes(40, 0, unseen=True)]
    suite = own.read_episodes(seed=0, size=40)

    def policy(dialogues):
        trajectories = [
            next(t for t in made if (t.messages[:1], t.tools) == (d.messages[:1], d.tools)) for d in dialogues
        ]
        counts = [sum(m.is_call for m in d.messages) for d in dialogues]
        return [Response((t.calls()[n][0].content,)) for t, n in zip(trajectories, counts, strict=True)]

    done = dict(play(suite.requests, policy, 8))
    scores = score_episodes([outcome(r, done[i]) for i, r in enumerate(suite.requests)])
    assert (scores.va, scores.answer_accuracy, scores.refusal_accuracy, scores.finished) == (100, 100, 100, 100)
    assert scores.de > 0 and scores.ce > 0  # some have erroneous calls on purpose


# ---- what counts


def test_shares_are_over_all_turns_and_answers_over_what_can_be_answered():
    hallucinated = ErrorCategory.TOOL_HALLUCINATION
    outcomes = [
        EpisodeOutcome((hallucinated, RIGHT, RIGHT), servable=True, finished=True, valid=True, real=True, right=True),
        EpisodeOutcome((FAILURE, None), servable=True, finished=False, valid=False, right=False),
        EpisodeOutcome((RIGHT,), servable=True, finished=True, valid=True),  # no truth is known
        EpisodeOutcome((RIGHT,), servable=False, finished=True, valid=True, refused=True),
        EpisodeOutcome((RIGHT,), servable=False, finished=True, valid=True, real=True),  # an answer made up
    ]
    scores = score_episodes(outcomes)
    assert (scores.de, scores.ce, scores.n_calls) == (12.5, 12.5, 8)
    assert (scores.va, scores.real, scores.n_servable) == (pytest.approx(200 / 3), pytest.approx(100 / 3), 3)
    assert (scores.answer_accuracy, scores.n_answerable) == (50, 2)
    assert (scores.refusal_accuracy, scores.n_refusals) == (50, 2)
    assert scores.finished == 80


def test_an_answer_without_a_word_is_no_refusal():
    request = Request("r", (), START, nullcontext, servable=False)
    for answer, refused in (("", False), (" ", False), ("I cannot handle the task.", True), ("It is 7.", False)):
        made = outcome(request, Rollout(Trajectory("r", (), request.messages), (RIGHT,), StopReason.FINISHED, answer))
        assert made.refused is refused
        assert score_episodes([made]).refusal_accuracy == 100 * refused


def test_nothing_to_count_is_no_number():
    assert score_episodes([]).de is None and score_episodes([]).va is None
    assert score_episodes([]).intervals["de"] == (0, 100)


def ended(answer, refusals=REFUSALS):
    rollout = Rollout(Trajectory("r", (), START), (RIGHT,), StopReason.FINISHED, answer)
    return outcome(Request("r", (), START, nullcontext), rollout, refusals)


@pytest.mark.parametrize(
    ("answer", "valid", "real"),
    [
        ("I cannot handle the task.", False, False),  # what the paper's tools say after too many turns
        ("i cannot handle the task", False, False),
        ("I cannot handle the task of 7 cats.", True, False),
        ("I don’t know.", True, False),
        ("Sorry? I'm sorry.", True, False),
        ("Never give up on your dreams.", True, True),
        ("", True, False),
        ("12", True, True),
        (None, False, False),  # it did not end in finish
    ],
)
def test_any_answer_is_valid_but_the_forced_one_and_real_where_it_is_no_refusal(answer, valid, real):
    assert (ended(answer).valid, ended(answer).real) == (valid, real)


def test_phrases_of_ones_own_make_a_refusal():
    assert not ended("No idea.", ["no idea"]).real and ended("I give up.", ["no idea"]).real
    assert is_refusal("I give up.") and not is_forced("I give up.")


def test_the_facts_of_an_answer_are_its_figures_and_what_tools_said():
    feedback = '{"order": {"id": "K88", "state": "packed"}, "x": "is", "total": 155.8}'
    facts = facts_of("Order K88 is packed, due 2026-12-04 at 17:15, 155.8 in all.", [feedback])
    assert facts == ("K88", "2026-12-04", "17:15", "155.8", "is", "packed")


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("It costs 155.80 and is PACKED.", True),
        ("packed: 155.8", True),
        ("It costs 155 and is packed.", False),
        ("It costs 1155.8 and is packed.", False),
        ("It costs 155.8 and is unpacked.", False),
        ("It costs -155.8 and is packed.", False),
    ],
)
def test_an_answer_is_right_if_it_has_the_facts(answer, right):
    assert is_right(answer, "It is packed, 155.8.", ("155.8", "packed")) is right


@pytest.mark.parametrize(
    ("truth", "answer", "right"),
    [
        ("5 and 6", "The ids are 5,6.", True),
        ("10 to 12", "From 10-12.", True),
        ("17:15 to 18:00", "Open 17:15-18:00.", True),
        ("155.8", "It is 155.8km.", True),
        ("-9", "It is −9 degrees.", True),
        ("1,200.50", "1200.5", True),
        ("34", "The scores are 3,4.", False),
        ("200", "It costs 1,200.", False),
        ("12", "On 2026-12-04.", False),
        ("9007199254740992", "9007199254740993", False),
        ("12000", "Its id is 12E3.", False),
        ("7", "Agent 007.", False),
    ],
)
def test_figures_are_compared_as_numbers_where_they_are_numbers(truth, answer, right):
    assert is_right(answer, truth, facts_of(truth, ())) is right


def test_without_facts_the_words_have_to_be_the_same():
    assert is_right("i found  Nothing", "I found nothing.", ())
    assert not is_right("I found something.", "I found nothing.", ())


def test_only_finish_has_an_answer():
    assert final_answer('finish(answer="x")') == "x" and final_answer("finish(answer=[1])") == "[1]"
    assert final_answer("finish()") is final_answer("f(answer=1)") is final_answer("x") is None


# ---- several calls an item


def question(n):
    return Question("q", BUILT_INS, START, (tuple(Call("f", {"x": i}) for i in range(n)),))


def test_parallel_items_go_on_after_empty_outputs_up_to_the_golden_count():
    seen = []

    def policy(dialogues):
        seen.append([(m.role, m.content) for m in dialogues[0].messages[1:]])
        return [Response((f"f(x={len(seen)})",))]

    [answer] = ask([question(3)], policy)
    assert answer.texts == ("f(x=1)", "f(x=2)", "f(x=3)")
    assert seen[2] == [("assistant", "f(x=1)"), ("tool", ""), ("assistant", "f(x=2)"), ("tool", "")]


def test_who_has_to_stop_by_itself_is_asked_once_more():
    whole = replace(question(2), to_the_end=True)
    answers = [("f(x=9)", 3), ('finish(answer="")', 2), ('ask_to_user(question="?")', 2), ("That is all.", 2)]
    for last, n in answers:
        asked = []
        policy = scripted(["f(x=0)", "f(x=1)", last, "f(x=5)"])
        [answer] = ask([whole], lambda dialogues, policy=policy, asked=asked: asked.append(1) or policy(dialogues))
        assert (len(asked), len(answer.texts)) == (3, n)
        score = strict_score(whole, prediction_of(answer))
        assert score == (CallScore(True, True, True) if n == 2 else CallScore(True, False, False))
    gone = ask([whole], lambda ds: [Response(("f(x=0)", "f(x=1)"))] if len(ds[0].messages) == 1 else [OUT])
    assert gone[0].stop is StopReason.POLICY


def test_parallel_items_stop_at_finish_which_is_not_one_of_their_calls():
    [answer] = ask([question(3)], scripted(["f(x=0)", 'finish(answer="")', "f(x=1)"]))
    assert answer.texts == ("f(x=0)",)


def test_text_that_is_no_call_ends_an_item():
    [answer] = ask([question(3)], scripted(["f(x=0)", "hm", "f(x=1)"]))
    assert answer.texts == ("f(x=0)", "hm") and prediction_of(answer).problem


def test_a_turn_that_did_not_stop_is_wrong_even_if_it_reads_as_a_call():
    assert prediction_of(Response(("f(x=0)",), "did not stop within 5 tokens")).calls == ()


# ---- the journal


def test_a_journal_is_taken_up_again_with_the_same_key_only(tmp_path):
    journal = Journal(tmp_path / "report.json", "suite", {"model": "a"})
    journal.add(3, ["x"])
    journal.add(1, {"y": None})
    journal.close()
    with journal.path.open("a") as file:
        file.write('[2, ["torn')
    again = Journal(tmp_path / "report.json", "suite", {"model": "a"}, rank=1)
    assert again.done == {3: ["x"], 1: {"y": None}}
    assert Journal(tmp_path / "report.json", "suite", {"model": "b"}).done == {}
    first = Journal(tmp_path / "report.json", "suite", {"model": "a"})
    first.add(2, "z")
    again.add(0, "w")
    assert Journal(tmp_path / "report.json", "suite", {"model": "a"}).done.keys() == {0, 1, 2, 3}
    first.remove()
    assert list(tmp_path.iterdir()) == []
