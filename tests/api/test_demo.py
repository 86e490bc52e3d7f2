"""The demo that is interrupted says so in its record."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.settings import ROOT, Settings


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "into_file"), [(signal.SIGTERM, True), (signal.SIGINT, False)])
def test_an_interrupted_demo_writes_why(
    settings: Settings, tmp_path: Path, kind: signal.Signals, into_file: bool
) -> None:
    given = {
        "CLOCHER_STATE_DIR": str(settings.state_dir),
        "CLOCHER_SECRET_KEY": settings.secret_key.get_secret_value(),
        "CLOCHER_DATABASE_URL": settings.database_url.get_secret_value(),
        "CLOCHER_DEVCLOUD_INSTANCE": "9",  # nobody's
    }
    record = tmp_path / "demo.json"
    file = [str(record)] if into_file else []
    # With --keep it touches nothing on its way out; the signal comes while it makes the database.
    command = [sys.executable, "-m", "api", "demo", "--keep", "--json", *file]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | given, text=True, **streams) as demo:
        try:
            said = next(line for line in demo.stderr if "$ clocher database upgrade" in line)
            demo.send_signal(kind)
            said += demo.stderr.read()
            written = demo.stdout.read()
            assert demo.wait(60) == 128 + kind, said
        finally:
            demo.kill()
    assert "demo_interrupted" in said
    assert "Traceback" not in said
    told = json.loads(record.read_text() if into_file else written)
    assert (told["ok"], told["error"]["code"]) == (False, "demo_interrupted")
    assert kind.name in told["error"]["sentence"]
    assert told["seconds"]["total"] >= told["seconds"]["database"] >= 0
