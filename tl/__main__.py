"""`python -m tl`: lists the verbs, runs one."""

import importlib
import sys

# Name of the module in tl.cli that has `main(argv)` -> what it is for.
VERBS = {
    "show": "training samples with masked calls, key tokens, weights, losses; in the terminal or as a web page",
    "formats": "the formats of data that can be read, a line each",
    "convert": "any readable data set as OpenAI messages",
    "label": "MAE for any trainer: OpenAI messages in which every turn says whether to train it",
    "synthesis": "make training data, prompts for PPO and held-out sets from the tool library",
    "rejection": "a model solves tasks several times with the tools; what worked becomes training data",
    "dpo": "preference training: of two answers to one history, the chosen one becomes likelier",
    "prm": "a model learns how likely an episode is to end right, from each of its calls on",
    "stats": "figures of a dataset: calls, errors by category, key tokens, families of tool names",
    "report": "runs as one web page: curves, tables beside the paper's, experiments, samples, rollouts",
    "ability": "MMLU, GSM8K and HumanEval of a base model and of one tuned from it, item by item",
    "intercode": "InterCode-bash without Docker: success, reward and turns of models or of recorded actions",
    "experiments": "ablation and robustness: the embedded model trained in different ways, compared over seeds",
    "scaling": "training on many GPUs, on paper: memory, transfers and speed of CodeLLaMA's sizes",
}


def main(argv: list[str]) -> int:
    """Exit status of the verb `argv[0]`; without one the list of verbs."""
    if argv and argv[0] in VERBS:
        try:
            return importlib.import_module(f"tl.cli.{argv[0]}").main(argv[1:])
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except BrokenPipeError:  # the reader, such as `head`, has seen enough
            sys.stderr.close()
            return 0
    usage = ["usage: python -m tl VERB …      (python -m tl VERB --help tells more)", ""]
    usage += [f"    {verb:<11} {purpose}" for verb, purpose in VERBS.items()]
    asked_for_help = not argv or argv[0] in ("-h", "--help")
    if not asked_for_help:
        usage.insert(0, f"python -m tl: there is no verb {argv[0]!r}")
    print("\n".join(usage), file=sys.stdout if asked_for_help else sys.stderr)
    return 0 if asked_for_help else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
