"""`python -m tl`: lists the commands or runs one."""

import importlib
import sys

from tl.errors import UserError
from tl.files import print_warnings, visible

# Name of a module in tl.cli with a function `main(argv)` -> what the command does.
VERBS = {
    "show": "show training samples with masked calls, key tokens, weights and losses",
    "formats": "list the data formats that can be read",
    "convert": "convert any supported data format to OpenAI messages",
    "label": "apply MAE for other trainers: mark which turns to train on",
    "synthesis": "generate training data, prompts for PPO and held-out sets with the tool library",
    "rejection": "let a model solve tasks with the tools, and keep what worked as training data",
    "dpo": "train on preferences: make the chosen of two answers more likely than the rejected one",
    "prm": "train a process reward model: how likely an episode is to succeed after each call",
    "stats": "print statistics of data sets: calls, errors, key tokens, families of tool names",
    "report": "write one web page about runs: curves, evaluations, experiments, samples, rollouts",
    "ability": "measure MMLU, GSM8K and HumanEval before and after tuning",
    "intercode": "run InterCode-bash without Docker: success, reward and turns",
    "experiments": "run the paper's ablation and robustness over several seeds; compare SFT, rejection, DPO and PPO",
    "scaling": "estimate memory, communication and speed of training on many GPUs",
}


def main(argv: list[str]) -> int:
    """Runs the command `argv[0]` and returns its exit status, 2 for an error that the user can fix (1 if the command
    says so); without arguments, lists the commands."""
    if argv and argv[0] in VERBS:
        print_warnings()
        try:
            return importlib.import_module(f"tl.cli.{argv[0]}").main(argv[1:])
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
            sys.stderr.close()
            return 0
        except (UserError, OSError) as error:
            print(f"python -m tl {argv[0]}: {visible(str(error))}", file=sys.stderr)
            return 2
    usage = ["usage: python -m tl COMMAND …      (python -m tl COMMAND --help describes its flags)", ""]
    usage += [f"    {verb:<11} {purpose}" for verb, purpose in VERBS.items()]
    asked_for_help = not argv or argv[0] in ("-h", "--help")
    if not asked_for_help:
        usage.insert(0, f"python -m tl: unknown command {argv[0]!r}")
    print("\n".join(usage), file=sys.stdout if asked_for_help else sys.stderr)
    return 0 if asked_for_help else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
