"""Runs a command, then prints a JSON object: seconds, CPU seconds, peak MiB and, with --bytes, GB/s.

Usage: timed.py [--bytes N] [--until TEXT] [--goal KEY=MOST]... COMMAND...
--until ends the time at the first line on standard error that begins with TEXT, however the command
ends then; --goal says the most that a figure may be. Exit status: 1 where a goal is missed.
"""

import argparse
import json
import resource
import subprocess
import sys
import time


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int)
    parser.add_argument("--until")
    parser.add_argument("--goal", action="append", default=[])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser.parse_args()


def run(command: list[str], until: str | None) -> float:
    """Seconds that the command takes, or takes until it says so."""
    begin = time.monotonic()
    end = None
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    lines = []
    for line in child.stderr:
        lines.append(line)
        if end is None and until and line.startswith(until):
            end = time.monotonic()
    status = child.wait()
    if end is None and (until or status != 0):
        sys.exit(f"`{' '.join(command)}` ended with {status}:\n{''.join(lines)}")
    return (end or time.monotonic()) - begin


def main() -> None:
    args = parse()
    seconds = run(args.command, args.until)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    figures = {"seconds": seconds, "cpu_seconds": cpu, "peak_mib": used.ru_maxrss / 1024}
    if args.bytes:
        figures["gb_per_cpu_second"] = args.bytes / 1e9 / cpu
    print(json.dumps({key: round(value, 3) for key, value in figures.items()}))
    missed = [goal for goal in args.goal if figures[goal.split("=")[0]] > float(goal.split("=")[1])]
    for goal in args.goal:
        print(f"  goal: {goal.replace('=', ' at most ')}: {'missed' if goal in missed else 'met'}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
