"""The Debian image that the dev cloud's guests boot: a squashfs, made on this machine from its own apt sources.

`python3 -m devcloud.image` builds it by hand. Standard library only. It is what a cloud image is: systemd, sshd,
cloud-init with the `debian` user, no host keys, no machine id. Nothing of this machine goes in: what a guest needs of
its host (resolver, extra certificate authorities) is added where guests boot.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from devcloud import squashfs
from devcloud.place import here
from devcloud.remains import mounts

Log = Callable[[str], None]
SUITE = "bookworm"
BUILD_SECONDS = 900
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "sudo",
    "cloud-init",
    "python3",
    "python3-apt",
    "iproute2",
    "nftables",
    "ca-certificates",
    "e2fsprogs",
    "tzdata",
    "unattended-upgrades",
)
# Written into the image. cloud-init knows at once where its data is, and makes only the two quick kinds of host key;
# addresses are set from outside before the guest boots, so it leaves the network alone.
FILES = {
    # Who has a key may log in while the boot goes on: a job that is late must not shut the administrator out.
    "etc/tmpfiles.d/systemd-nologin.conf": "",
    "etc/cloud/ds-identify.cfg": "datasource: ConfigDrive\npolicy: enabled\n",
    "etc/cloud/cloud.cfg.d/90_devcloud.cfg": """\
datasource_list: [ConfigDrive]
network: {config: disabled}
manage_etc_hosts: true
ssh_genkeytypes: [ed25519, ecdsa]
ssh: {emit_keys_to_console: false}
locale: C.UTF-8
apt: {preserve_sources_list: true}
cloud_init_modules: [bootcmd, write-files, mounts, set_hostname, update_hostname, update_etc_hosts, ca-certs,
  users-groups, ssh]
cloud_config_modules: [ssh-import-id, set-passwords, apt-configure, ntp, timezone, disable-ec2-metadata, runcmd]
cloud_final_modules: [package-update-upgrade-install, write-files-deferred, scripts-vendor, scripts-per-once,
  scripts-per-boot, scripts-per-instance, scripts-user, ssh-authkey-fingerprints, phone-home, final-message,
  power-state-change]
""",
    "etc/apt/apt.conf.d/90devcloud": 'APT::Install-Recommends "false";\nAcquire::Languages "none";\n',
    "etc/hostname": "",
    "etc/machine-id": "",
    "etc/fstab": "",
}
# cloud-init would make its default user at each guest's first boot, in half a second; here it is made once.
USER = "debian"
GROUPS = ("adm", "audio", "cdrom", "dialout", "dip", "floppy", "netdev", "plugdev", "sudo", "video")
# Two daily jobs would take apt's lock in the very first minute of every guest; whoever wants them enables them.
REMOVED = (
    "etc/ssh/ssh_host_*",
    "etc/resolv.conf",
    "var/lib/dbus/machine-id",
    "var/log/*.log",
    "var/log/apt/*",
    "etc/systemd/system/timers.target.wants/apt-daily*",
)
EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


def build(target: Path, log: Log) -> Path:
    """Return the image's path below the directory `target`, built if its recipe is new. Safe to call twice at once."""
    target.mkdir(parents=True, exist_ok=True)
    path = target / f"debian-12-{_recipe()[:12]}.squashfs"
    with (target / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            log("building the Debian image (about a minute)")
            _clear(target)
            _build(path)
            for older in set(target.glob("debian-12-*.squashfs")) - {path}:
                older.unlink()
            log(f"built {path.name}, {path.stat().st_size >> 20} MiB")
    return path


def _recipe() -> str:
    parts = (SUITE, PACKAGES, sorted(FILES.items()), USER, GROUPS, REMOVED, EXCLUDED)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _clear(target: Path) -> None:
    """Remove what a build that was killed has left."""
    for draft in target.glob("build-*"):
        for point in mounts(draft):
            squashfs.run("umount", point)
        squashfs.run("rm", "--recursive", "--force", "--one-file-system", str(draft))


def _build(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="build-") as directory:
        root, draft = Path(directory) / "root", Path(directory) / path.name
        squashfs.run(
            # It ends with us, and takes its mounts back.
            "setpriv",
            "--pdeathsig=TERM",
            "mmdebstrap",
            "--quiet",
            "--mode=root",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
            # A guest of a new image need not fetch the package lists before it installs its first package.
            "--skip=cleanup/apt/lists",
            '--aptopt=APT::Install-Recommends "false"',
            *(f"--dpkgopt=path-exclude={name}" for name in EXCLUDED),
            SUITE,
            str(root),
            seconds=BUILD_SECONDS,
        )
        make_user = (
            "useradd",
            "--create-home",
            "--shell=/bin/bash",
            "--comment=Debian",
            f"--groups={','.join(GROUPS)}",
        )
        squashfs.run("chroot", str(root), "groupadd", "--force", "--system", "netdev")
        squashfs.run("chroot", str(root), *make_user, USER)
        _trim(root)
        squashfs.pack(root, draft)
        draft.replace(path)


def _trim(root: Path) -> None:
    for pattern in REMOVED:
        for found in root.glob(pattern):
            found.unlink()
    for name, text in FILES.items():
        (root / name).write_text(text)


if __name__ == "__main__":
    print(build(here().images, lambda text: print(text, file=sys.stderr)))
