"""What the embedded base model can do: on text of its kind that it never read, and on the held-out requests.

    python -m benchmarks.base_model [DIR]

Three figures: the loss on documents of its corpus; how many calls it gets right when a page has the signatures of three
made-up functions and a sentence that one of them serves; TS, PI and CF on held-out requests, which nothing has prepared
it for (its text is cut at </s> or where the line ends).
"""

import argparse
from random import Random

import torch

from tl.assets import TINY
from tl.assets.tiny.corpus import make_style, marked_document
from tl.assets.tiny.functions import as_sentence, call_text, choose_arguments, make_family, request_phrase
from tl.assets.tiny.make import HELD_OUT, Page, encode, loss_of
from tl.llama import Llama, Tokenizer, generate, load_model
from tl.metrics import score_call
from tl.prompt import encode_prompt
from tl.synthesis import held_out

DOCUMENTS, SENTENCES, REQUESTS = 60, 200, 100
NEW_TOKENS = 64


@torch.no_grad()
def corpus_loss(model: Llama, tokenizer: Tokenizer) -> float:
    """Nats a token."""
    whole = [encode(marked_document(HELD_OUT + i), tokenizer) for i in range(DOCUMENTS)]
    pages = [Page(page.ids[:1024], page.targets[:1024]) for page in whole]
    losses = [loss_of(model, [page]).item() * len(page.ids) for page in pages]
    return sum(losses) / sum(len(page.ids) for page in pages)


def exercise(seed: int) -> tuple[str, str]:
    """(a page that ends before a call, the call)."""
    rng = Random(seed)
    style, functions = make_style(rng), make_family(rng, 3)
    function = rng.choice(functions)
    arguments = choose_arguments(function, rng)
    sentence = as_sentence(request_phrase(function, arguments, rng), rng)
    page = "\n\n".join([*map(style.show, functions), f"{style.frame[0]}{sentence}\n{style.frame[1].rstrip(' ')}"])
    return page, call_text(function.name, arguments, style.python)


def continued(model: Llama, tokenizer: Tokenizer, prompts: list[list[int]]) -> list[str]:
    """The rest of the line, greedily."""
    outputs = generate(model, prompts, NEW_TOKENS, eos_id=tokenizer.eos_id, batch_size=16)
    return [tokenizer.decode(ids).split("\n")[0].strip() for ids in outputs]


def main(path: str) -> None:
    model, tokenizer = load_model(path, dtype=torch.float32).eval(), Tokenizer(path)
    print(f"loss on {DOCUMENTS} documents of its corpus: {corpus_loss(model, tokenizer):.3f} nats a token")
    pages, golden = zip(*(exercise(HELD_OUT + i) for i in range(SENTENCES)), strict=True)
    made = continued(model, tokenizer, [[tokenizer.bos_id, *tokenizer.encode(page)] for page in pages])
    names = sum(a.split("(")[0] == b.split("(")[0] for a, b in zip(made, golden, strict=True))
    whole = sum(a == b for a, b in zip(made, golden, strict=True))
    print(f"of {SENTENCES} sentences about three functions: the right function {names}, the whole call {whole}")
    questions = held_out(REQUESTS)
    made = continued(model, tokenizer, [encode_prompt(q.tools, q.messages, tokenizer) for q in questions])
    scores = [score_call(text, q.golden, q.tools) for text, q in zip(made, questions, strict=True)]
    ts, pi, cf = (sum(column) for column in zip(*scores, strict=True))
    print(f"of {REQUESTS} held-out requests: TS {ts}, PI {pi}, CF {cf}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "model", nargs="?", default=str(TINY), help="checkpoint folder (default: the embedded base model)"
    )
    main(parser.parse_args().model)
