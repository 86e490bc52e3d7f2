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

ROOT = Path(__file__).resolve().parent.parent
# A dev cloud of the tests' own, with networks of its own: a demo that is kept running is not disturbed.
INSTANCE = {
    "CLOCHER_DEVCLOUD_INSTANCE": "1",
    "CLOCHER_MANAGEMENT_NETWORKS": '["198.18.1.1/32"]',
    "CLOCHER_MEMBER_NETWORKS": "10.96.0.0/16",
}
UNSAFE = ("fsync", "synchronous_commit", "full_page_writes")  # the cluster is removed: no power cut to survive
FAST = "not cloud and not browser and not slow"
LONGEST = "--durations=25"  # where the time of a whole run goes


def run(title: str, *command: str, **variables: str) -> bool:
    """Run one part, say how long it took, tell whether it passed."""
    print(f"── {title}", flush=True)
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=False)
    print(f"── {title}: {'ok' if done.returncode == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s", flush=True)
    return done.returncode == 0


def pytest(title: str, *arguments: str, **variables: str) -> bool:
    """Run pytest with the interpreter of the project."""
    return run(title, sys.executable, "-m", "pytest", "-q", *arguments, **variables)


def devcloud(verb: str) -> bool:
    """Bring the tests' dev cloud up or down."""
    return run(f"dev cloud {verb}", sys.executable, "-m", "devcloud", verb, **INSTANCE)


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
    """The same tests on Debian's PostgreSQL 15, in a cluster of their own that is removed afterwards."""
    inside = f"""
        export CLOCHER_TEST_DATABASE_URL="postgresql://$PGUSER:$PGPASSWORD@$PGHOST:$PGPORT/postgres"
        exec "{sys.executable}" -m pytest -q -m 'not cloud and not browser' tests/orchestrator tests/tenants
    """
    options = [word for unsafe in UNSAFE for word in ("-o", f"{unsafe}=off")]
    return run("tests on PostgreSQL 15", "pg_virtualenv", "-v", "15", *options, "sh", "-c", inside)


def side_by_side(title: str, chosen: str, *more: str) -> bool:
    """Tests that need no cloud, in two processes, each with a PostgreSQL of its own."""
    return pytest(title, "-n", "2", "--dist", "worksteal", "-m", chosen, *more)


def whole() -> bool:
    """Everything; parts that do not need each other's success all run, so one failure hides no other."""
    passed = [checks()]
    with ThreadPoolExecutor(1) as beside:
        # A clean cloud: what an interrupted run left would be somebody else's finding.
        cloud = beside.submit(lambda: devcloud("reset") and devcloud("up"))
        passed += [other_postgresql(), side_by_side("tests without the cloud", "not cloud", LONGEST), cloud.result()]
    if cloud.result():
        # One cloud, so one process.
        passed.append(pytest("tests with the cloud", "-m", "cloud", LONGEST, **INSTANCE))
    passed.append(devcloud("down"))
    return all(passed)


def main() -> int:
    parser = argparse.ArgumentParser(prog="clocher test", description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="without dev cloud, Chromium, PostgreSQL 15, slow tests")
    parser.add_argument("rest", nargs="*", help="after --: for pytest, which then runs alone")
    options = parser.parse_args()
    if options.rest:
        chosen = ("-m", FAST) if options.fast else ()
        return 0 if pytest("tests", *chosen, *options.rest, **INSTANCE) else 1
    if options.fast:
        with ThreadPoolExecutor(1) as beside:
            checked = beside.submit(checks)
            tested = side_by_side("fast tests", FAST)
        return 0 if tested and checked.result() else 1
    return 0 if whole() else 1


if __name__ == "__main__":
    raise SystemExit(main())
