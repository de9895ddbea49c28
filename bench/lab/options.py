"""Arguments that the scripts share."""

import argparse


def parser(description, quick):
    """A parser with the arguments that all scripts have. `quick` says what --quick does."""
    made = argparse.ArgumentParser(description=description.splitlines()[0])
    made.add_argument("--quick", action="store_true", help=f"{quick}; writes no documents")
    made.add_argument("--no-build", action="store_true", help="measure what target/release has")
    made.add_argument("--render", action="store_true", help="write the documents from the last full run")
    return made


def add_repetitions(made, default):
    made.add_argument("--repetitions", type=repetitions, default=default, metavar="N", help=f"1 to 100 [default: {default}]")


def repetitions(text):
    count = int(text)
    if not 1 <= count <= 100:
        raise ValueError("1 to 100")
    return count
