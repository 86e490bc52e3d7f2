"""Plays really run, on this machine: what comes back from them, and what does not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from orchestrator import ansible
from orchestrator.ansible import PlayEvent
from orchestrator.errors import ClocherError, FlowCancelled, Unavailable
from orchestrator.settings import Settings
from orchestrator.ssh import Guest

pytestmark = pytest.mark.slow
Run = Callable[..., ansible.Outcome]


@pytest.fixture
def local(tmp_path: Path) -> Settings:
    """An installation that needs no database."""
    return Settings(state_dir=tmp_path / "state", secret_key="x", configure_timeout=60)


@pytest.fixture
def play(tmp_path: Path, local: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run tasks as a play, through all that a guest's play goes through but SSH."""
    monkeypatch.setattr(ansible, "PLAYBOOKS", tmp_path)
    (tmp_path / "ansible.cfg").write_text((ansible.ROOT / "playbooks" / "ansible.cfg").read_text())

    def run(
        tasks: list[dict[str, object]], events: list[PlayEvent], settings: Settings = local, check: bool = False,
        handlers: tuple[dict[str, object], ...] = (), **variables: object,
    ) -> ansible.Outcome:  # fmt: skip
        name = f"play-{uuid4()}"
        (tmp_path / name).mkdir()
        head = {"name": "Try", "hosts": "all", "connection": "local", "gather_facts": False}
        (tmp_path / name / "site.yml").write_text(json.dumps([{**head, "tasks": tasks, "handlers": handlers}]))
        guest = Guest("127.0.0.1", "here", uuid4())
        return ansible.configure(settings, name, guest, variables, events.append, check=check)

    return run


def task(name: str, module: str, **arguments: object) -> dict[str, object]:
    return {"name": name, f"ansible.builtin.{module}": arguments}


def test_events_come_in_order_and_are_counted(play: Run, local: Settings, tmp_path: Path) -> None:
    events: list[PlayEvent] = []
    outcome = play(
        [
            task("look", "stat", path="/"),
            task("write", "copy", dest=str(tmp_path / "out"), content="x"),
            {**task("leave out", "stat", path="/"), "when": False},
            {**task("stumble", "command", argv=["false"]), "ignore_errors": True},
        ],
        events,
    )
    assert (outcome.changed, outcome.ok) == (2, 3)
    assert [(e.task, e.outcome) for e in events if e.outcome != "started"] == [
        ("look", "ok"),
        ("write", "changed"),
        ("leave out", "skipped"),
        ("stumble", "ignored"),
    ]
    assert [e.task for e in events if e.outcome == "started"] == ["look", "write", "leave out", "stumble"]
    assert len({e.uuid for e in events}) == len(events)
    assert list((local.state_dir / "ansible").iterdir()) == []


def test_check_mode_says_what_would_change_without_secrets(play: Run, local: Settings, tmp_path: Path) -> None:
    slow = local.model_copy(update={"configure_timeout": 300})
    (tmp_path / "kept").write_text("a\nold secret\n")
    tasks = [
        task("same", "copy", dest=str(tmp_path / "kept"), content="a\nold secret\n"),
        {**task("write", "copy", dest=str(tmp_path / "kept"), content="a\n{{ key }}\n"), "notify": "wake"},
        {**task("hide", "copy", dest=str(tmp_path / "password"), content="{{ key }}"), "no_log": True},
        {
            **task("hide some", "copy", dest=str(tmp_path / "{{ item }}"), content="x"),
            "loop": ["1", "2"],
            "no_log": True,
        },
        {**task("each", "file", path=str(tmp_path / "{{ item }}"), state="directory"), "loop": ["state", "room"]},
        {**task("leave", "command", argv=["touch", str(tmp_path / "touched")])},
        {"name": "made good", "block": [task("stumble", "fail", msg="no")], "rescue": [task("rise", "stat", path="/")]},
        task("fall", "fail", msg="the key {{ key }} is not there"),
        task("never", "copy", dest=str(tmp_path / "never"), content="x"),
    ]
    handlers = (task("wake", "copy", dest=str(tmp_path / "woken"), content="x"),)
    outcome = play(tasks, [], slow, check=True, handlers=handlers, key=SecretStr("hidden"))
    found = {one.task: (one.kind, one.diff) for one in outcome.differences}
    assert list(found) == ["write", "hide", "hide some", "each", "fall"]
    assert found["write"][0] == "changes" and found["write"][1].endswith("@@ -1,2 +1,2 @@\n a\n-old secret\n+***")
    assert found["hide"] == found["hide some"] == ("secret", "")
    assert "room" in found["each"][1]
    assert found["fall"] == ("fails", "the key *** is not there")
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("play-")) == [
        "ansible.cfg", "kept", "state",
    ]  # fmt: skip


def test_what_a_play_gives_back_comes_without_secrets(play: Run) -> None:
    give = {
        "name": "give",
        "ansible.builtin.set_stats": {"data": {"result": {"bytes": 7, "key": "{{ key }}"}}, "per_host": False},
    }
    outcome = play([give], [], key=SecretStr("hidden"))
    assert outcome.data == {"result": {"bytes": 7, "key": "***"}}
    assert play([task("look", "stat", path="/")], []).data == {}


def test_a_stack_is_found_by_its_name_only(local: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = tmp_path / "playbooks", tmp_path / "elsewhere"
    monkeypatch.setattr(ansible, "PLAYBOOKS", ours)
    for book in (
        ours / "vm/site.yml",
        ours / "stacks/wiki/site.yml",
        theirs / "wiki/site.yml",
        theirs / "blog/test/put.yml",
    ):
        book.parent.mkdir(parents=True)
        book.touch()
    more = local.model_copy(update={"stacks_dirs": (theirs,)})
    assert ansible.find_play(more, "vm") == ours / "vm/site.yml"
    assert ansible.find_play(more, "stacks/wiki") == ours / "stacks/wiki/site.yml"
    assert ansible.find_play(more, "stacks/blog", "test/put") == theirs / "blog/test/put.yml"
    assert ansible.roles_path(theirs / "blog/test/put.yml").startswith(str(theirs / "blog/roles"))
    for name, act in [("blog", "site"), ("stacks/none", "site"), ("../elsewhere/wiki", "site"), ("stacks/..", "site"),
                      (str(theirs / "wiki"), "site"), ("vm", "../vm/site"), ("", "site")]:  # fmt: skip
        with pytest.raises(ClocherError) as caught:
            ansible.find_play(more, name, act)
        assert caught.value.code == "play_missing"


def test_a_failure_names_the_task_and_masks_secrets(play: Run) -> None:
    events: list[PlayEvent] = []
    fail = task("open the safe", "fail", msg="the key {{ db.password }} does not fit, says {{ admin }}")
    with pytest.raises(ClocherError) as caught:
        play([fail], events, admin="jeanne", db={"password": SecretStr('top"secret')})
    assert (caught.value.code, caught.value.retryable) == ("play_failed", False)
    assert caught.value.detail == "open the safe: the key *** does not fit, says jeanne"
    assert [e.message for e in events if e.outcome == "failed"] == ["the key *** does not fit, says jeanne"]
    assert "secret" not in repr(events)


def test_a_play_that_can_not_even_start_says_why(play: Run) -> None:
    with pytest.raises(ClocherError) as caught:
        play([{"name": "nonsense", "no_such_module": {}}], [])
    assert caught.value.code == "play_failed"
    assert "no_such_module" in caught.value.detail


def test_what_a_member_typed_is_no_template(play: Run, tmp_path: Path) -> None:
    typed = ["{{ 6 * 7 }}", "{% raw %}", "é😀 \"'\\ \n: #", "yes", "{{ lookup('ansible.builtin.pipe', 'id') }}"]
    out = tmp_path / "out"
    play([task("write", "copy", dest=str(out), content="{{ typed | to_json }}")], [], typed=typed)
    assert json.loads(out.read_text()) == typed


def test_a_text_that_looks_like_something_else_stays_a_text(play: Run) -> None:
    texts = {"version": "1", "day": "2026-11-29", "answer": "no", "kept": {"version": "1"}}
    told = "{{ [version, day, answer, kept.version] | map('type_debug') | join(' ') }}"
    outcome = play([task("tell", "set_stats", data={"result": told}, per_host=False)], [], **texts)
    assert outcome.data == {"result": "str str str str"}


def test_a_play_sees_nothing_of_our_environment(play: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOCHER_DATABASE_URL", "postgresql://owner:hidden@db/clocher")
    monkeypatch.setenv("ANSIBLE_CHECK_MODE_MARKERS", "True")
    out = tmp_path / "out"
    play([task("write", "shell", cmd=f"env > {out}")], [])
    assert "hidden" not in out.read_text()
    assert "CHECK_MODE" not in out.read_text()


def test_a_play_that_lasts_too_long_is_ended(play: Run, local: Settings, tmp_path: Path) -> None:
    with pytest.raises(ClocherError) as caught:
        play([task("dawdle", "command", argv=["sleep", "125"])], [], local.model_copy(update={"configure_timeout": 2}))
    assert (caught.value.code, caught.value.retryable) == ("play_timeout", False)
    assert "en 2 s" in caught.value.sentence
    _await_end_of(str(tmp_path))


def test_a_deadline_before_the_first_event_leaves_nothing(play: Run, local: Settings, tmp_path: Path) -> None:
    hurried = local.model_copy(update={"configure_timeout": 0.1})
    with pytest.raises(ClocherError) as caught:
        play([task("dawdle", "command", argv=["sleep", "125"])], [], hurried)
    assert caught.value.code == "play_timeout"
    _await_end_of(str(tmp_path))


def test_a_task_with_a_time_fails_even_where_failures_do_not_count(play: Run) -> None:
    """So the baseline's wait for the first boot ends, whose result is nobody's concern."""
    dawdle = {**task("dawdle", "command", argv=["sleep", "125"]), "timeout": 1, "failed_when": False}
    with pytest.raises(ClocherError) as caught:
        play([dawdle], [])
    assert caught.value.code == "play_failed"
    assert caught.value.detail.startswith("dawdle: ")


def test_the_listener_can_stop_a_play(play: Run, local: Settings, tmp_path: Path) -> None:
    events: list[PlayEvent] = []

    class Stop(list[PlayEvent]):
        def append(self, event: PlayEvent) -> None:
            events.append(event)
            if event.task == "dawdle":
                raise FlowCancelled("flow_cancelled", "stop")

    with pytest.raises(FlowCancelled):
        play([task("look", "stat", path="/"), task("dawdle", "command", argv=["sleep", "125"])], Stop())
    assert [e.task for e in events][-1] == "dawdle"
    _await_end_of(str(tmp_path))
    assert list((local.state_dir / "ansible").iterdir()) == []


def test_a_guest_that_is_not_there_is_worth_another_try(local: Settings) -> None:
    events: list[PlayEvent] = []
    nobody = Guest("127.0.0.1", "nobody", uuid4(), user="nobody-at-all")
    with pytest.raises(Unavailable) as caught:
        ansible.configure(local, "vm", nobody, {"admin": "jeanne", "ssh_keys": []}, events.append)
    assert (caught.value.code, caught.value.retryable) == ("guest_unreachable", True)
    assert events[-1].outcome == "unreachable"


def test_plays_of_several_guests_run_at_once(play: Run) -> None:
    def one(number: int) -> list[str | None]:
        events: list[PlayEvent] = []
        play([task(f"guest {number}", "stat", path="/")], events)
        return [e.task for e in events]

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(one, range(3))) == [[f"guest {n}"] * 2 for n in range(3)]


def _await_end_of(marker: str) -> None:
    """Return when no process has the text in its command line any more; Ansible's workers end a moment after it."""
    deadline = time.monotonic() + 20
    while found := subprocess.run(
        ["pgrep", "-af", marker], capture_output=True, text=True, timeout=10, check=False
    ).stdout:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_what_a_killed_worker_left_goes_with_its_processes(local: Settings) -> None:
    owner, writes = uuid4(), "import itertools, os, sys; [os.mkdir(f'{sys.argv[1]}/{n}') for n in itertools.count()]"
    with ansible.private_dir(local, owner) as left:
        play = subprocess.Popen([sys.executable, "-c", writes, str(left)])
        while not list(left.iterdir()):
            time.sleep(0.01)
        with ansible.private_dir(local, owner) as folder:
            assert play.wait(10) == -signal.SIGKILL
            assert folder.stat().st_mode & 0o777 == 0o700 and list(folder.iterdir()) == []
            assert list(folder.parent.iterdir()) == [folder]
