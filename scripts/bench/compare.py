"""Runs two commands in turn, A B A B ..., and prints one figure of both and its ratio, pair by pair.

Each command's last line on standard output is a JSON object that holds the figure.
Exit status: 0 when the goal is met or there is none, 1 when it is missed.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--what", required=True, help="what is compared, for the heading")
    parser.add_argument("--figure", required=True, help="key of the figure that has the goal")
    parser.add_argument("--also", action="append", default=[], help="key of a figure without goal")
    parser.add_argument("--ours", required=True, help="command A")
    parser.add_argument("--peer", required=True, help="command B")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--inverse", action="store_true", help="peer / ours, for times")
    goal = parser.add_mutually_exclusive_group()
    goal.add_argument("--at-least", type=float)
    goal.add_argument("--at-most", type=float)
    parser.add_argument("--same", help="key of numbers that must be equal to 1e-9")
    return parser.parse_args()


def run(command: str) -> dict:
    done = subprocess.run(shlex.split(command), stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"`{command}` failed with status {done.returncode}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def line(name: str, values: list[float]) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"  {name:<26}{low:12.3f}{middle:12.3f}{high:12.3f}"


def report(figure: str, pairs: list[tuple[dict, dict]], inverse: bool) -> float:
    """Prints a figure of both sides and its ratio, whose median it returns."""
    ours, peer = ([pair[side][figure] for pair in pairs] for side in (0, 1))
    ratios = [b / a if inverse else a / b for a, b in zip(ours, peer)]
    print(line(f"ours, {figure}", ours))
    print(line("peer", peer))
    print(line("peer / ours" if inverse else "ours / peer", ratios))
    return statistics.median(ratios)


def largest_difference(pairs: list[tuple[dict, dict]], key: str) -> float:
    differences = [abs(a - b) for ours, peer in pairs for a, b in zip(ours[key], peer[key])]
    return max(differences)


def main() -> None:
    args = parse()
    pairs = []
    for number in range(args.pairs):
        print(f"{args.what}: pair {number + 1} of {args.pairs}", file=sys.stderr)
        pairs.append((run(args.ours), run(args.peer)))
    print(f"{args.what}\n  {'':<26}{'min':>12}{'median':>12}{'max':>12}")
    for figure in args.also:
        report(figure, pairs, args.inverse)
    middle = report(args.figure, pairs, args.inverse)
    met = True
    if args.at_least is not None:
        met = middle >= args.at_least
        print(f"  goal: at least {args.at_least:g}: {'met' if met else 'missed'}")
    if args.at_most is not None:
        met = middle <= args.at_most
        print(f"  goal: at most {args.at_most:g}: {'met' if met else 'missed'}")
    if args.same:
        difference = largest_difference(pairs, args.same)
        met &= difference <= 1e-9
        print(f"  largest difference of {args.same}: {difference:.1e}")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
