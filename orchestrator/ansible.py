"""Configure a guest: run one play of `playbooks/` in it, and pass on what happens as it happens.

The only importer of ansible-runner. A play is run by this environment's own ansible-playbook, with the settings of
`playbooks/ansible.cfg` and none of the user's.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from ansible_runner.interface import init_runner
from pydantic import SecretStr

from orchestrator import differences, ssh
from orchestrator.differences import Difference
from orchestrator.errors import ClocherError, Text
from orchestrator.settings import ROOT, Settings
from orchestrator.ssh import Guest

PLAYBOOKS = ROOT / "playbooks"
STACKS = "stacks"  # plays of a stack are named stacks/<slug>
PLAY = re.compile(rf"({STACKS}/)?[a-z0-9]+([_-][a-z0-9]+)*")
ACT = re.compile(r"(test/)?[a-z]+")
PLAYBOOK_COMMAND = "ansible-playbook"
MESSAGE_LENGTH = 2000
GRACE_SECONDS = 10.0
OUTCOMES = {
    "runner_on_start": "started",
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_on_skipped": "skipped",
}
# Of what ansible-runner would hand on, only this: our own environment holds secrets that no play needs.
KEPT_ENVIRONMENT = (
    "PATH",
    "HOME",
    "AWX_ISOLATED_DATA_DIR",
    "ANSIBLE_CALLBACK_PLUGINS",
    "ANSIBLE_STDOUT_CALLBACK",
    "RUNNER_OMIT_EVENTS",
    "RUNNER_ONLY_FAILED_EVENTS",
)


@dataclass(frozen=True)
class PlayEvent:
    """One thing that happened in a play. outcome: started, ok, changed, failed, ignored, unreachable, skipped."""

    uuid: UUID
    event: str
    task: str | None
    outcome: str
    message: str | None


@dataclass(frozen=True)
class Outcome:
    """How a play went: tasks that changed something, tasks that went well (changed ones among them), seconds.

    data: what the play gave back by `set_stats` for the run as a whole, secrets masked. differences: in check mode,
    what it would change.
    """

    changed: int
    ok: int
    seconds: float
    data: dict[str, Any] = field(default_factory=dict)
    differences: tuple[Difference, ...] = ()

    @property
    def result(self) -> dict[str, Any]:
        """What plays of stacks give back; empty when the play gave nothing, or no mapping."""
        found = self.data.get("result")
        return found if isinstance(found, dict) else {}


@dataclass
class Course:
    """What we note while a play runs. seconds: how long it may take; deadline: when that is over (monotonic).

    items: tasks of which an item has changed; handlers: those that others wake, no difference of their own.
    """

    on_event: Callable[[PlayEvent], None]
    hostname: str
    secrets: list[str]
    seconds: float
    deadline: float
    check: bool = False
    pid: int | None = None
    asked_to_end: float | None = None
    terminated: bool = False
    task: str | None = None
    failure: PlayEvent | None = None
    totals: dict[str, int] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    items: set[str] = field(default_factory=set)
    handlers: set[str] = field(default_factory=set)
    refusal: BaseException | None = None

    def take(self, raw: dict[str, Any]) -> bool:
        """Take one event of ansible-runner. An error of the listener stops the play and is raised after it."""
        self.pid = raw.get("pid", self.pid)
        if self.refusal:
            return False
        if raw["event"] == "playbook_on_stats":
            self.totals = {name: raw["event_data"][name].get(self.hostname, 0) for name in ("changed", "ok")}
            self.data = masked(raw["event_data"].get("artifact_data") or {}, self.secrets)
        elif raw["event"] == "playbook_on_task_start" and raw["event_data"].get("is_conditional"):
            self.handlers.add(raw["event_data"]["task_uuid"])
        elif raw["event"] == "runner_item_on_ok" and differences.changed(raw):
            self.items.add(raw["event_data"]["task_uuid"])
        elif raw["event"] in OUTCOMES:
            event = self.read(raw)
            self.task = event.task
            self.compare(raw, event)
            if event.outcome in ("failed", "unreachable"):
                self.failure = event
            try:
                self.on_event(event)
            except BaseException as error:  # noqa: BLE001  ansible-runner would leave the play running, or swallow it
                self.refusal = error
        return False

    def must_be_killed(self) -> bool:
        """Asked every second by ansible-runner, which kills the play when the answer is yes.

        Ansible's workers have sessions of their own and would outlive that; asked to terminate, Ansible takes them
        along. So it is asked first, and killed if it is still there GRACE_SECONDS later.
        """
        now = time.monotonic()
        if not self.refusal and now < self.deadline:
            return False
        if self.asked_to_end is None:
            self.asked_to_end = now
        if self.pid and not self.terminated:  # known from the first event on, which a busy machine may send late
            self.asked_to_end, self.terminated = now, True
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
        return now - self.asked_to_end > GRACE_SECONDS

    def compare(self, raw: dict[str, Any], event: PlayEvent) -> None:
        """Note what the task would change, or that nobody can say."""
        if not self.check:
            return
        if event.outcome == "changed" and raw["event_data"]["task_uuid"] not in self.handlers:
            found = differences.read(raw)
        elif event.outcome == "failed":
            found = Difference(event.task or "", raw["event_data"].get("role"), "fails", event.message or "")
        else:
            return
        self.differences.append(replace(found, diff=differences.cut(mask(found.diff, self.secrets))))

    def found(self, *, failed: bool) -> tuple[Difference, ...]:
        """The differences. Of failures only the one that ended the play counts: others it has made good itself."""
        changes = [one for one in self.differences if one.kind != "fails"]
        return (*changes, *(self.differences[-1:] if failed else ()))

    def read(self, raw: dict[str, Any]) -> PlayEvent:
        """Translate an event of ansible-runner, with secrets masked."""
        data, outcome = raw["event_data"], OUTCOMES[raw["event"]]
        result = data.get("res") or {}
        if outcome == "ok" and (differences.changed(raw) or data.get("task_uuid") in self.items):
            outcome = "changed"
        if outcome == "failed" and data.get("ignore_errors"):
            outcome = "ignored"
        # Of what went well the task's name says enough.
        told = message_of(result) if outcome in ("failed", "ignored", "unreachable") else ""
        message = mask(told, self.secrets)[:MESSAGE_LENGTH]
        return PlayEvent(UUID(raw["uuid"]), raw["event"], data.get("task"), outcome, message or None)


def configure(
    settings: Settings,
    play: str,
    guest: Guest,
    variables: Mapping[str, Any],
    on_event: Callable[[PlayEvent], None],
    *,
    act: str = "site",
    seconds: float | None = None,
    owner: UUID | None = None,
    check: bool = False,
) -> Outcome:
    """Run `<act>.yml` of a play's folder in a guest, within `seconds` (settings.configure_timeout if not given).

    variables: given to the play as they are, never as templates; a value of type SecretStr, at any depth, is masked in
    all that comes back. on_event is called for each event as it comes, in order; when it raises, the play is stopped
    and its error raised from here. owner: the service whose flow runs it, when that is not the guest's own. check: say
    what the play would change, and change nothing; a task that fails then is a difference too. Raises
    `guest_unreachable` (worth another try), `play_failed`, `play_timeout`, `play_missing`.
    """
    book = find_play(settings, play, act)
    started = time.monotonic()
    seconds = settings.configure_timeout if seconds is None else seconds
    course = Course(on_event, guest.hostname, secrets_in(variables), seconds, started + seconds, check)
    with private_dir(settings, owner or guest.ref) as folder, tempfile.TemporaryDirectory(prefix="clocher-") as sockets:
        write_variables(folder / "env" / "extravars", variables)
        ours = environment(folder, sockets, book)
        runner = init_runner(
            private_data_dir=str(folder),
            playbook=str(book),
            inventory=inventory(settings, guest),
            envvars=ours,
            cmdline="--check --diff" if check else None,
            settings={"pexpect_timeout": 1, "suppress_ansible_output": True},
            event_handler=course.take,
            cancel_callback=course.must_be_killed,
        )
        runner.config.command[0] = str(Path(sys.executable).with_name(PLAYBOOK_COMMAND))
        runner.config.env = {k: v for k, v in runner.config.env.items() if k in KEPT_ENVIRONMENT} | ours
        status, _ = runner.run()
        if course.refusal:
            raise course.refusal
        stumbled = check and course.asked_to_end is None and course.failure and course.failure.outcome == "failed"
        if status != "successful" and not stumbled:
            with runner.stdout as output:
                raise failed(play, guest, course, mask(output.read(), course.secrets))
    seconds, found = time.monotonic() - started, course.found(failed=status != "successful")
    return Outcome(course.totals["changed"], course.totals["ok"], seconds, course.data, found)


def find_play(settings: Settings, play: str, act: str = "site") -> Path:
    """The file of a play: of `playbooks/` or, for a stack, of the first folder of stacks that has it.

    The names come from the database: one that is more than a name finds nothing. Raises `play_missing`,
    which the DSI can mend.
    """
    if PLAY.fullmatch(play) and ACT.fullmatch(act):
        places = [PLAYBOOKS / play]
        if play.startswith(f"{STACKS}/"):
            places += [folder / play.removeprefix(f"{STACKS}/") for folder in settings.stacks_dirs]
        for place in places:
            if (book := (place / f"{act}.yml").resolve()).is_file():
                return book
    raise ClocherError(
        "play_missing",
        "Ce que le service demande d’exécuter n’est pas installé ici.",
        "Prévenez la DSI : un dossier de playbooks manque à l’exécutant.",
        detail=f"{play}: no {act}.yml in playbooks or stacks_dirs",
    )


@contextmanager
def private_dir(settings: Settings, owner: UUID) -> Iterator[Path]:
    """A directory for one run (mode 0700), removed afterwards.

    Named by the service whose flow it is, which has one live flow at most: what a killed worker left behind goes first.
    So does its play, of which a process may outlive it. No two runs have the same directory: it could still write.
    """
    folder = settings.state_dir / "ansible" / f"{owner}-{uuid4()}"
    for left in folder.parent.glob(f"{owner}-*"):
        end_survivors(left)
        shutil.rmtree(left, ignore_errors=True)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def end_survivors(folder: Path) -> None:
    """Kill what still runs on this machine of a run that had this directory: its path is in Ansible's command line."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone since, or another user's
            if os.fsencode(folder) in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)


def environment(folder: Path, sockets: str, book: Path) -> dict[str, str]:
    """Ansible's settings that depend on the run; the others are in `playbooks/ansible.cfg`."""
    return {
        "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"),
        "ANSIBLE_ROLES_PATH": roles_path(book),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_FORKS": "1",
        "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=20s",
        # A socket's path holds 107 characters at most, fewer than some state directories.
        "ANSIBLE_SSH_CONTROL_PATH": f"{sockets}/s",
        "LC_ALL": "C.UTF-8",
    }


def roles_path(book: Path) -> str:
    """Where a play finds roles: its own folder's (one up for the plays in `test/`), then those that all share."""
    home = book.parent.parent if book.parent.name == "test" else book.parent
    return f"{home / 'roles'}:{PLAYBOOKS / 'roles'}"


def inventory(settings: Settings, guest: Guest) -> dict[str, Any]:
    """An inventory of this one guest."""
    host = {
        "ansible_host": guest.address,
        "ansible_user": guest.user,
        "ansible_ssh_private_key_file": str(ssh.key_path(settings)),
        "ansible_ssh_common_args": shlex.join(ssh.options(settings, guest)),
    }
    return {"all": {"hosts": {guest.hostname: host}}}


def write_variables(path: Path, variables: Mapping[str, Any]) -> None:
    """Write a file of extra variables. `!unsafe`: what a member typed is data, even if it looks like a template.

    The whole file is one such value: of a lone `!unsafe "1"` Ansible would make a number.
    """
    path.parent.mkdir(mode=0o700)
    path.touch(mode=0o600)
    path.write_text(f"!unsafe {json.dumps(dict(variables), default=reveal, ensure_ascii=False)}\n")


def reveal(value: Any) -> str:
    """A secret's value, for the file that only the play reads."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    raise TypeError(f"{type(value).__name__} can't be a play's variable")


def secrets_in(value: Any) -> list[str]:
    """All secret texts in a value, longest first, so that one which holds another is masked whole."""
    found: set[str] = set()
    if isinstance(value, SecretStr):
        found.add(value.get_secret_value())
    elif isinstance(value, Mapping):
        found.update(*(secrets_in(part) for part in value.values()))
    elif isinstance(value, list | tuple):
        found.update(*(secrets_in(part) for part in value))
    return sorted(found - {""}, key=len, reverse=True)


def mask(text: str, secrets: list[str]) -> str:
    """Replace every secret in a text, also in the form that JSON gives it."""
    for secret in secrets:
        text = text.replace(secret, "***").replace(json.dumps(secret)[1:-1], "***")
    return text


def masked(value: Any, secrets: list[str]) -> Any:
    """A value of JSON's types with every secret in its texts replaced."""
    if isinstance(value, str):
        return mask(value, secrets)
    if isinstance(value, Mapping):
        return {str(name): masked(part, secrets) for name, part in value.items()}
    return [masked(part, secrets) for part in value] if isinstance(value, list | tuple) else value


def message_of(result: Mapping[str, Any]) -> str:
    """What a task's result says in words; for a loop, what its failed items say."""
    items = [item for item in result.get("results") or [] if isinstance(item, Mapping) and item.get("failed")]
    if items:
        return "\n".join(message_of(item) for item in items)
    parts = [result.get("msg"), result.get("stderr") or result.get("module_stderr")]
    return "\n".join(str(part).strip() for part in parts if part)


def failed(play: str, guest: Guest, course: Course, output: str) -> ClocherError:
    """The error for a play that did not end well."""
    last = course.failure
    if course.asked_to_end is not None:
        return ClocherError(
            "play_timeout",
            Text("La configuration de la machine n’a pas abouti en {seconds:g} s.", seconds=round(course.seconds)),
            "Prévenez la DSI.",
            detail=f"{play} on {guest.hostname}, at “{course.task}”: {output[-MESSAGE_LENGTH:]}",
        )
    if last and last.outcome == "unreachable":
        return ssh.unreachable(guest.address, f"{last.task}: {last.message}")
    return ClocherError(
        "play_failed",
        "La configuration de la machine a échoué.",
        "Prévenez la DSI : le détail est dans le déroulement de l’opération.",
        detail=f"{last.task}: {last.message}" if last else output[-MESSAGE_LENGTH:],
    )
