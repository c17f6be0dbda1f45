"""Our own model as a `tl.rollout.dialogue.Policy`: greedy, with what it has read kept over the turns."""

from collections.abc import Callable, Sequence

from tl.llama.model import Llama
from tl.llama.sampling import Sampler
from tl.llama.tokenizer import Tokenizer
from tl.prompt import encode_prompt
from tl.rollout.dialogue import Dialogue, Response


class LlamaPolicy:
    """Answers dialogues in the prompt of Table 13, up to `batch_size` at a time. `answered` is called once for each
    answer, as they come."""

    def __init__(
        self,
        model: Llama,
        tokenizer: Tokenizer,
        batch_size: int,
        max_new_tokens: int,
        answered: Callable[[], object] = lambda: None,
    ) -> None:
        self.answered = answered
        self.tokenizer = tokenizer
        self.max_new_tokens = max_new_tokens
        self.limit = model.config.max_position_embeddings
        self.sampler = Sampler(model, batch_size, eos_id=tokenizer.eos_id)

    def __call__(self, dialogues: Sequence[Dialogue]) -> list[Response]:
        prompts = [d.prompt_ids or encode_prompt(d.tools, d.messages, self.tokenizer) for d in dialogues]
        turns = [Response(note=f"a prompt of {len(p)} tokens does not fit into {self.limit}") for p in prompts]
        fit = [i for i, prompt in enumerate(prompts) if len(prompt) < self.limit]
        made = self.sampler.complete([prompts[i] for i in fit], self.max_new_tokens, finished=self.answered)
        for i, completion in zip(fit, made, strict=True):
            text = self.tokenizer.decode(completion.ids)
            turns[i] = Response(
                (text,), "" if completion.stopped else f"did not stop within {len(completion.ids)} tokens"
            )
        return turns
