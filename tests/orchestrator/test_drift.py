"""A guest that is no longer as its play makes it, and an application's other answers: on the real dev cloud."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from orchestrator import service_secrets, ssh
from orchestrator.database import territory_session
from orchestrator.tables import AnsibleEvent, AuditEntry, Flow, Service
from orchestrator.tables_drift import Drift
from tests.orchestrator.flowing import Stage
from tests.orchestrator.test_day2_kill import ended
from tests.orchestrator.test_kill import MOMENTS, check_history, passed, restart, run_to_the_end

pytestmark = [pytest.mark.cloud, pytest.mark.slow]

STACK: dict[str, Any] = {
    "slug": "tiny", "version": "1", "ports": [], "web": None, "health": [],
    "secrets": [{"name": "key", "length": 24, "shown": False, "label": {"fr": "Clé", "en": "Key"}}],
}  # fmt: skip
# A few tasks, not the whole baseline: it runs a dozen times here.
SITE = """---
- name: Make it tiny
  hosts: all
  become: true
  gather_facts: false
  tasks:
    - name: Say how the guest is, as a node exporter does
      ansible.builtin.copy: {dest: /srv/metrics, content: 'node_uname_info{nodename="tiny"} 1', mode: "0644"}
    - name: Declare what says it
      ansible.builtin.copy:
        dest: /etc/systemd/system/metrics.service
        content: "[Service]\\nExecStart=/usr/bin/python3 -m http.server 9100 --directory /srv\\n"
        mode: "0644"
    - name: Start it
      ansible.builtin.systemd_service: {name: metrics.service, state: started}
    - name: Write the word
      ansible.builtin.copy: {dest: /etc/tiny, content: "{{ answers.word }}\\n", mode: "0644"}
    - name: Write the key
      ansible.builtin.copy: {dest: /etc/tiny.key, content: "{{ secrets.key }}", mode: "0600"}
      no_log: true
"""


@pytest.fixture
def tiny(stage: Stage, tmp_path: Path) -> Stage:
    (tmp_path / "stacks" / "tiny").mkdir(parents=True)
    (tmp_path / "stacks" / "tiny" / "site.yml").write_text(SITE)
    stage.settings = stage.settings.model_copy(update={"stacks_dirs": (tmp_path / "stacks",)})
    return stage


def inside(stage: Stage, service_id: int, script: str) -> str:
    service = stage.service(service_id)
    guest = ssh.Guest(service.address or "", service.name, service.ref)
    return ssh.run(stage.settings, guest, "sudo", "sh", "-c", script)


def done(stage: Stage, service_id: int, kind: str) -> bool:
    (flow,) = stage.rest(stage.ask(service_id, kind), seconds=600)
    return (flow.state, flow.error_detail) == ("done", None)


def drift(stage: Stage, service_id: int) -> Drift:
    with territory_session(stage.owner, "tests") as session:
        return session.get_one(Drift, service_id)


def told(stage: Stage) -> list[str]:
    return [entry.action for entry in stage.rows(AuditEntry, AuditEntry.action.startswith("drift."))]


def test_what_differs_is_told_and_repaired_and_answers_change_whoever_dies(tiny: Stage) -> None:
    worker = tiny.start()
    service_id, flow = tiny.order("tiny", play="stacks/tiny", stack=STACK, answers={"word": "un"})
    assert tiny.rest(flow, seconds=600)[0].error_detail is None
    assert done(tiny, service_id, "check_drift")
    assert (drift(tiny, service_id).state, told(tiny)) == ("same", []), "an untouched guest differs in nothing"

    inside(tiny, service_id, "echo autre > /etc/tiny; echo x > /etc/tiny.key")
    assert done(tiny, service_id, "check_drift")
    found = drift(tiny, service_id)
    word, key = found.differences
    assert (word["task"], word["kind"], key["task"], key["kind"], key["diff"]) == (
        "Write the word", "changes", "Write the key", "secret", "",
    )  # fmt: skip
    assert word["diff"].endswith("-autre\n+un")
    with territory_session(tiny.owner, "tests") as session:
        secret = service_secrets.opened(session, tiny.settings, service_id)["key"].get_secret_value()
    assert secret not in " ".join(str(vars(event)) for event in tiny.rows(AnsibleEvent))
    assert inside(tiny, service_id, "cat /etc/tiny") == "autre\n", "looking changes nothing"
    assert done(tiny, service_id, "repair_drift")
    assert (drift(tiny, service_id).state, told(tiny)) == ("same", ["drift.found", "drift.gone"])
    assert inside(tiny, service_id, "cat /etc/tiny /etc/tiny.key") == f"un\n{secret}"
    worker.terminate()
    worker.join(30)

    steps = ("configure", "health", "answer", "activate")
    flow = tiny.ask(service_id, "change_parameters", wanted={"answers": {"word": "deux"}})
    assert run_to_the_end(tiny, restart, partial(ended, tiny, "activate")) == len(steps) * len(MOMENTS)
    assert len(passed(tiny, steps)) == len(steps) * len(MOMENTS)
    check_history(tiny, flow, steps)
    assert (tiny.service(service_id).specification["answers"], inside(tiny, service_id, "cat /etc/tiny")) == (
        {"word": "deux"}, "deux\n",
    )  # fmt: skip

    _fail(tiny, service_id)


def _fail(tiny: Stage, service_id: int) -> None:
    """Answers with which the play fails, half-way: those of before are back, also when who brings them back dies."""
    for mark in tiny.plan.iterdir():
        mark.unlink()
    with territory_session(tiny.owner, "tests") as session:
        service = session.get_one(Service, service_id)
        service.specification = {**service.specification, "play": "stacks/two"}
    other = tiny.settings.stacks_dirs[0] / "two"
    other.mkdir()
    fails = SITE + "    - name: Fall\n      ansible.builtin.fail: {msg: no}\n      when: answers.word == 'trois'\n"
    (other / "site.yml").write_text(fails)
    flow = tiny.ask(service_id, "change_parameters", wanted={"answers": {"word": "trois"}})
    assert run_to_the_end(tiny, restart) == 2, "before and after the undoing is recorded"
    (failed,) = tiny.rows(Flow, Flow.id == flow)
    assert (failed.state, failed.error_code, tiny.steps(flow)) == ("failed", "play_failed", {"configure": "undone"})
    left = tiny.service(service_id)
    assert (left.state, left.specification["answers"]) == ("active", {"word": "deux"})
    assert inside(tiny, service_id, "cat /etc/tiny") == "deux\n"
