"""A model that judges calls, as in ToolAlpaca's released scorer: a call is right if it has the same effect.

The released judge is GPT-4 and sees whole episodes. Here a model of the user's choice sees the one call that was made
and the golden call. Its verdicts are kept, so that nothing is asked twice.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from tl.calls import format_call
from tl.evaluation.suites import Answered, Suite, python_score
from tl.forms import Prediction
from tl.metrics import CallScore, Question
from tl.rollout.endpoint import Endpoint, EndpointError

JUDGED = "toolalpaca"  # the suite whose released scorer is a judge
PARALLEL = 8  # requests at a time
MAX_TOKENS = 512

QUESTION = """\
A user asked an assistant that can call tools. Compare the assistant's call with the reference call.

Request: {request}

Documentation:
{documentation}

Reference call: {golden}
Assistant's call: {call}

Does the assistant's call do what the request asks, as the reference call does? Values that the request does not
determine may differ, and so may the wording of free text; another tool, a missing parameter or a value that contradicts
the request may not. Answer with one word, yes or no."""

_VERDICT = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Judge:
    """An endpoint, and the file that keeps its verdicts: JSON lines `[key, true, false or null]`."""

    endpoint: Endpoint
    kept: Path

    def added_to(self, suite: Suite) -> Suite:
        """The suite with an additional row that the judge scores."""
        note = f"judged: {self.endpoint.model} sees call and golden call; equal arguments are right without a question"
        return replace(suite, scorings={**suite.scorings, "judged": self.scores}, notes=(*suite.notes, note))

    def scores(self, answered: Answered) -> list[CallScore | None]:
        """CF is the judge's verdict, and implies TS and PI. Equal arguments are right and not asked about. None if the
        judge says neither yes nor no; a warning counts these items, which are asked again the next time.

        Raises EndpointError if the judge cannot be asked; the verdicts so far are kept.
        """
        known: dict[str, bool | None] = dict(self._read())
        scores: list[CallScore | None] = [python_score(question, prediction) for question, prediction in answered]
        open_ones = {
            i: _question(*answered[i]) for i, s in enumerate(scores) if s and not s.cf and answered[i][1].calls
        }
        self._ask([text for text in open_ones.values() if self._key(text) not in known], known)
        for i, text in open_ones.items():
            verdict = known[self._key(text)]
            if verdict is not False:
                scores[i] = CallScore(True, True, True) if verdict else None
        if unclear := scores.count(None):
            warnings.warn(
                f"the judge answered neither yes nor no for {unclear} items, which are not counted and will be "
                "asked again the next time",
                stacklevel=2,
            )
        return scores

    def _ask(self, texts: list[str], known: dict[str, bool | None]) -> None:
        self.kept.parent.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(PARALLEL) as pool, self.kept.open("a", encoding="utf-8") as file:
            for text, verdict in zip(texts, tqdm(pool.map(self._verdict, texts), "judge", len(texts)), strict=True):
                known[self._key(text)] = verdict
                file.write(json.dumps([self._key(text), verdict]) + "\n")
                file.flush()

    def _verdict(self, text: str) -> bool | None:
        try:
            reply = self.endpoint.chat([{"role": "user", "content": text}], temperature=0.0, max_tokens=MAX_TOKENS)
        except EndpointError as error:
            if error.malformed:
                return None
            raise
        said = _VERDICT.findall(str(reply.message.get("content")))
        return said[-1].lower() == "yes" if said else None

    def _key(self, text: str) -> str:
        return hashlib.sha256(f"{self.endpoint.model}\n{text}".encode(errors="backslashreplace")).hexdigest()[:16]

    def _read(self) -> Iterator[tuple[str, bool]]:
        """The verdicts kept so far. Lines that are incomplete are left out, and so is what the judge left open (null):
        it is asked again."""
        lines = self.kept.read_text(encoding="utf-8").splitlines() if self.kept.exists() else []
        for line in lines:
            try:
                key, verdict = json.loads(line)
            except ValueError:
                continue
            if verdict is not None:
                yield key, verdict


def _question(question: Question, prediction: Prediction) -> str:
    [golden] = question.answers[0]
    called = {golden.name, *(call.name for call in prediction.calls)}
    return QUESTION.format(
        request=question.messages[-1].content,
        documentation="\n\n".join(tool.to_prompt() for tool in question.tools if tool.name in called),
        golden=format_call(golden),
        call="\n".join(map(format_call, prediction.calls)),
    )
