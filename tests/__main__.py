"""`./clocher test`: style, types, then the tests; with the dev cloud, Chromium and a second PostgreSQL unless --fast.

What follows `--` goes to pytest, and then only pytest runs: `./clocher test -- -k quota`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests import dev_clouds

ROOT = Path(__file__).resolve().parent.parent
UNSAFE = ("fsync", "synchronous_commit", "full_page_writes")  # the cluster is removed: no power cut to survive
FAST = "not cloud and not browser and not slow"
LONGEST = "--durations=25"  # where the time of a whole run goes


def run(title: str, *command: str, quietly: bool = False, **variables: str) -> bool:
    """Run one part, say how long it took, tell whether it passed. quietly: its words are shown when it failed only."""
    print(f"── {title}", flush=True)
    started = time.monotonic()
    where = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} if quietly else {}
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=False, **where)
    passed = done.returncode == 0
    said = "" if passed or not quietly else f"── what {title} said\n{done.stdout}\n"
    print(f"{said}── {title}: {'ok' if passed else 'FAILED'} in {time.monotonic() - started:.0f} s", flush=True)
    return passed


def pytest(title: str, *arguments: str, **variables: str) -> bool:
    """Run pytest with the interpreter of the project."""
    return run(title, sys.executable, "-m", "pytest", "-q", *arguments, **variables)


def devcloud(verb: str, number: int) -> bool:
    """Bring one of the tests' dev clouds up or down."""
    command = (sys.executable, "-m", "devcloud", verb)
    return run(f"dev cloud {number} {verb}", *command, quietly=True, **dev_clouds.variables(number))


def clean_clouds() -> bool:
    """Start the dev clouds without anything of an interrupted run: it would be somebody else's finding."""
    return all(devcloud("reset", number) and devcloud("up", number) for number in dev_clouds.NUMBERS)


def checks() -> bool:
    """Style and types."""
    return all(
        [
            run("ruff check", sys.executable, "-m", "ruff", "check", "."),
            run("ruff format", sys.executable, "-m", "ruff", "format", "--check", "."),
            run("mypy", sys.executable, "-m", "mypy"),
        ]
    )


def other_postgresql() -> bool:
    """What the rooms do with the database, on Debian's PostgreSQL 15 in a cluster that is removed afterwards."""
    inside = f"""
        export CLOCHER_TEST_DATABASE_URL="postgresql://$PGUSER:$PGPASSWORD@$PGHOST:$PGPORT/postgres"
        exec "{sys.executable}" -m pytest -q -m '{FAST}' tests/orchestrator tests/tenants
    """
    options = [word for unsafe in UNSAFE for word in ("-o", f"{unsafe}=off")]
    command = ("pg_virtualenv", "-v", "15", *options, "sh", "-c", inside)
    return run("tests on PostgreSQL 15", *command, quietly=True)


def side_by_side(title: str, chosen: str, *more: str) -> bool:
    """Tests that need no cloud, in two processes, each with a PostgreSQL of its own."""
    return pytest(title, "-n", "2", "--dist", "worksteal", "-m", chosen, *more)


def with_clouds() -> bool:
    """Tests with the cloud, in as many processes as there are dev clouds, file by file."""
    spread = ("-n", str(len(dev_clouds.NUMBERS)), "--dist", "loadfile", "--no-loadscope-reorder")
    mine = dev_clouds.variables(dev_clouds.NUMBERS[0])
    return pytest("tests with the cloud", "-m", "cloud", *spread, LONGEST, **mine)


def whole() -> bool:
    """Everything; parts that do not need each other's success all run, so one failure hides no other."""
    passed = [checks()]
    with ThreadPoolExecutor(1) as beside:
        clouds = beside.submit(clean_clouds)
        fifteen = beside.submit(other_postgresql)
        passed += [side_by_side("tests without the cloud", "not cloud", LONGEST), clouds.result(), fifteen.result()]
    if clouds.result():
        passed.append(with_clouds())
    passed += [devcloud("down", number) for number in dev_clouds.NUMBERS]
    return all(passed)


def main() -> int:
    parser = argparse.ArgumentParser(prog="clocher test", description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="without dev cloud, Chromium, PostgreSQL 15, slow tests")
    parser.add_argument("rest", nargs="*", help="after --: for pytest, which then runs alone")
    options = parser.parse_args()
    if options.rest:
        chosen = ("-m", FAST) if options.fast else ()
        return 0 if pytest("tests", *chosen, *options.rest, **dev_clouds.variables(dev_clouds.NUMBERS[0])) else 1
    if options.fast:
        with ThreadPoolExecutor(1) as beside:
            checked = beside.submit(checks)
            tested = side_by_side("fast tests", FAST)
        return 0 if tested and checked.result() else 1
    return 0 if whole() else 1


if __name__ == "__main__":
    raise SystemExit(main())
