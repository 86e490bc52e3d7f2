"""The play `vm` in a real guest: what it leaves there, that it can be run again, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator import ansible, readiness, ssh
from orchestrator.ansible import Outcome, PlayEvent
from orchestrator.errors import ClocherError
from tests.playbooks.conftest import Machine

pytestmark = pytest.mark.cloud


def variables(machine: Machine, *people: str, **more: object) -> dict[str, Any]:
    keys = [machine.key(person) for person in people]
    return {"admin": "mairie-admin", "ssh_keys": keys, "volumes": [{"id": machine.volume_id, "mount": "/data"}], **more}


def run(machine: Machine, *people: str, **more: object) -> tuple[Outcome, list[PlayEvent]]:
    events: list[PlayEvent] = []
    asked = variables(machine, *people, **more)
    return ansible.configure(machine.settings, "vm", machine.guest, asked, events.append), events


def inside(machine: Machine, *command: str) -> str:
    return ssh.run(machine.settings, machine.guest, *command).strip()


@pytest.fixture(scope="module")
def first(machine: Machine) -> Outcome:
    """The first run, in a guest fresh from the image."""
    outcome, _ = run(machine, "jeanne", "paul")
    print(f"first run: {outcome}")
    return outcome


def test_the_guest_is_well_after_the_first_run(machine: Machine, first: Outcome) -> None:
    assert first.changed > 0
    readiness.check_health(machine.settings, machine.guest, ["/data"])


def test_a_second_run_changes_nothing(machine: Machine, first: Outcome) -> None:
    outcome, events = run(machine, "jeanne", "paul")
    assert outcome.changed == 0, [event.task for event in events if event.outcome == "changed"]
    assert outcome.ok > 0


def test_an_untouched_guest_differs_in_nothing_and_a_touched_one_is_noticed(machine: Machine, first: Outcome) -> None:
    asked = variables(machine, "jeanne", "paul")
    assert ansible.configure(machine.settings, "vm", machine.guest, asked, lambda _: None, check=True).differences == ()
    inside(machine, "sudo", "sh", "-c", "echo PermitRootLogin yes > /etc/ssh/sshd_config.d/00-baseline.conf")
    found = ansible.configure(machine.settings, "vm", machine.guest, asked, lambda _: None, check=True).differences
    assert [(one.task, one.kind) for one in found] == [("Close root's login and passwords", "changes")]
    assert "-PermitRootLogin yes\n+PermitRootLogin no" in found[0].diff
    assert run(machine, "jeanne", "paul")[0].changed == 2, "the file, and sshd that reads it again"


@pytest.mark.parametrize("person", ["jeanne", "paul"])
def test_the_members_people_get_in_and_administrate(machine: Machine, first: Outcome, person: str) -> None:
    assert machine.log_in("mairie-admin", person, "sudo", "id", "-un").stdout.strip() == "root"


def test_nobody_else_gets_in(machine: Machine, first: Outcome) -> None:
    refusals = [machine.log_in("root", "jeanne"), machine.log_in("mairie-admin", "stranger")]
    assert all(refused.returncode == 255 and "Permission denied (publickey)" in refused.stderr for refused in refusals)
    effective = inside(machine, "sudo", "sshd", "-T").splitlines()
    assert {"permitrootlogin no", "passwordauthentication no", "kbdinteractiveauthentication no"} <= set(effective)


def test_it_knows_its_name_and_the_time_in_france(machine: Machine, first: Outcome) -> None:
    assert inside(machine, "hostname") == "mairie"
    assert inside(machine, "date", "+%Z") in {"CET", "CEST"}


def test_it_upgrades_itself(machine: Machine, first: Outcome) -> None:
    settings = inside(machine, "apt-config", "dump")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in settings
    assert "Debian-Security" in settings
    for timer in ("apt-daily.timer", "apt-daily-upgrade.timer"):
        assert inside(machine, "systemctl", "show", "-P", "ActiveState", timer) == "active"


def test_it_lets_in_what_is_named_only(machine: Machine, first: Outcome) -> None:
    rules = inside(machine, "sudo", "nft", "list", "table", "inet", "baseline")
    assert "hook input priority filter; policy drop;" in rules
    assert "tcp dport { 22, 9100 } accept" in rules


def test_it_comes_back_with_all_of_it(machine: Machine, first: Outcome) -> None:
    inside(machine, "sudo", "touch", "/data/kept")
    machine.restart()
    readiness.check_health(machine.settings, machine.guest, ["/data"])
    assert inside(machine, "ls", "/data/kept") == "/data/kept"
    assert "policy drop" in inside(machine, "sudo", "nft", "list", "table", "inet", "baseline")


def test_a_key_that_is_no_longer_declared_no_longer_opens(machine: Machine, first: Outcome) -> None:
    outcome, _ = run(machine, "jeanne", open_ports=[8443])
    assert outcome.changed == 3  # the keys, the filter, its reload
    assert machine.log_in("mairie-admin", "jeanne", "true").returncode == 0
    assert "Permission denied" in machine.log_in("mairie-admin", "paul", "true").stderr
    assert "tcp dport { 22, 8443, 9100 } accept" in inside(machine, "sudo", "nft", "list", "ruleset")


@pytest.mark.parametrize("taken", ["debian", "backup"])
def test_it_does_not_take_over_an_account_of_the_system(machine: Machine, first: Outcome, taken: str) -> None:
    with pytest.raises(ClocherError) as caught:
        run(machine, "jeanne", admin=taken)
    assert caught.value.code == "play_failed"
    assert f"{taken} can't be the name of the member's account" in caught.value.detail
    assert inside(machine, "id", "-un") == "debian"


def test_a_disk_that_holds_something_is_left_alone(machine: Machine, first: Outcome) -> None:
    device = f"/dev/disk/by-id/virtio-{machine.volume_id[:20]}"
    inside(machine, "sudo", "umount", "/data")
    inside(machine, "sudo", "sh", "-c", f"head -c 1M /dev/zero >{device} && echo treasure | dd of={device} seek=1000")
    with pytest.raises(ClocherError) as caught:
        run(machine, "jeanne")
    assert caught.value.code == "play_failed"
    assert caught.value.detail.startswith("Mount the disk")
    assert inside(machine, "sudo", "dd", f"if={device}", "skip=1000", "count=1", "status=none").startswith("treasure")
