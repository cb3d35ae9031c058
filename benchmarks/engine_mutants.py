"""Which changes of a package does no test notice, where tests start processes of their own?

``make mutants`` cannot tell: mutmut sees the calls of its own process alone, so that what commands
do in theirs counts as reached by no test. Here mutmut makes the changes, of a copy of the tree;
every test then runs once while all processes note which functions they call; and each change of a
random sample is tried by the tests that reach its function, the fastest first, until one fails.
Prints the score, and the changes that no test noticed.

    pip install mutmut
    python -m benchmarks.engine_mutants FOLDER --count 400
    python -m benchmarks.engine_mutants FOLDER --only engine/work.py --only engine/journal.py
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = (
    *("tests/engine", "tests/commands", "tests/places", "tests/view"),
    *("tests/test_plugins.py", "tests/test_library.py", "tests/test_portable.py"),
)
BUDGET = 90.0
"""Seconds of tests that a change is tried by at most."""
NOTES = """
import os
if "LIIF_CALLS" in os.environ:
    import mutmut.mutation.trampoline as trampoline
    seen = set()
    def record(name, caller=None):
        if name not in seen:
            seen.add(name)
            with open(os.environ["LIIF_CALLS"], "a") as file:
                file.write(f"call {name}\\n")
    trampoline.record_trampoline_hit = record
"""
"""``sitecustomize`` of every process: the functions that it calls."""
PLUGIN = """
import os, sitecustomize
def note(text):
    with open(os.environ["LIIF_CALLS"], "a") as file:
        file.write(text + "\\n")
def pytest_runtest_logstart(nodeid, location):
    sitecustomize.seen.clear()
    note(f"test {nodeid}")
def pytest_runtest_logreport(report):
    if report.when == "call" and report.passed:
        note(f"took {report.duration} {report.nodeid}")
"""


def copied(folder: Path, only: list[str]) -> Path:
    """A copy of the tree with every change in it, which lies in ``mutants``."""
    tree, mutants = folder / "tree", folder / "tree" / "mutants"
    if mutants.exists():
        return mutants
    listed = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    for name in listed:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    settings = tree / "pyproject.toml"
    text = re.sub(
        r"(?s)only_mutate = \[.*?\]",
        f"only_mutate = {json.dumps([f'liif_cli/{one}' for one in only])}",
        settings.read_text(),
    )
    # a test that reaches nothing: mutmut makes the changes and stops
    text = re.sub(
        r"(?s)(pytest_add_cli_args_test_selection = )\[.*?\]", r'\1["tests/test_errors.py"]', text
    )
    settings.write_text(text)
    command = [sys.executable, "-m", "mutmut", "run", "none"]
    subprocess.run(command, cwd=tree, stdout=subprocess.DEVNULL, check=False)
    (mutants / "sitecustomize.py").write_text(NOTES)
    (mutants / "calls_plugin.py").write_text(PLUGIN)
    return mutants


def pytest(mutants: Path, mutant: str, *words: str, **variables: str) -> subprocess.Popen[bytes]:
    """pytest in the changed tree, with one change active."""
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *words],
        cwd=mutants,
        env={**os.environ, "PYTHONPATH": str(mutants), "MUTANT_UNDER_TEST": mutant, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def reached(mutants: Path) -> dict[str, list[tuple[float, str]]]:
    """(seconds, name) of the tests that call each function, the fastest first."""
    calls = mutants.parent / "calls.txt"
    if not calls.exists():
        words = ("-p", "calls_plugin", "-m", "not slow", *TESTS)
        pytest(mutants, "stats", *words, LIIF_CALLS=str(calls)).wait()
    tests: dict[str, set[str]] = defaultdict(set)
    seconds: dict[str, float] = {}
    test = ""
    for line in calls.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "test":
            test = rest
        elif kind == "call":
            tests[rest].add(test)
        else:
            took, _, name = rest.partition(" ")
            seconds[name] = float(took)
    return {
        function: sorted((seconds[name], name) for name in names if name in seconds)
        for function, names in tests.items()
    }


def outcome(mutants: Path, mutant: str, tests: list[tuple[float, str]]) -> str:
    """Whether a test notices a change: "noticed", "not noticed" or "not reached"."""
    chosen, total = [], 0.0
    for seconds, name in tests:
        if chosen and total + seconds > BUDGET:
            break
        chosen.append(name)
        total += seconds
    if not chosen:
        return "not reached"
    process = pytest(mutants, mutant, "-x", "-m", "slow or not slow", *chosen)
    try:
        return "noticed" if process.wait(60 + 5 * total) else "not noticed"
    except subprocess.TimeoutExpired:
        # it waits for ever
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return "noticed"


def main() -> None:
    """Draw, try, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the copy goes; used again where it is")
    parser.add_argument("--only", action="append", help="files of liif_cli, as engine/work.py")
    parser.add_argument("--count", type=int, help="changes that are tried [default: all]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    given = parser.parse_args()
    mutants = copied(given.folder.absolute(), given.only or ["engine/*.py", "engine/executors/*"])
    names = sorted(
        name
        for path in mutants.rglob("*.meta")
        for name in json.loads(path.read_text())["exit_code_by_key"]
    )
    drawn = random.Random(given.seed).sample(names, min(given.count or len(names), len(names)))
    tests = reached(mutants)

    def tried(name: str) -> tuple[str, str]:
        return name, outcome(mutants, name, tests.get(name.rpartition("__mutmut_")[0], []))

    counts: Counter[str] = Counter()
    with ThreadPoolExecutor(given.processes) as pool:
        for name, what in pool.map(tried, drawn):
            counts[what] += 1
            if what != "noticed":
                print(f"{what}: {name}", flush=True)
    print(f"{len(drawn)} of {len(names)} changes: {dict(counts)}")
    print(f"score {counts['noticed'] / max(1, len(drawn)):.0%}")


if __name__ == "__main__":
    main()
