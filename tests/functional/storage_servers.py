# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""An iSCSI target and a Gluster volume, in the namespaces of the tests' own libvirtd."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from private_libvirtd import PrivateLibvirtd

if TYPE_CHECKING:
    from typing import Self

# Gluster refuses addresses of the loopback network.
ADDRESS = "10.31.7.1"
_PATIENCE = 60
# Directories that glusterd writes to, each an empty file system in the namespace.
_GLUSTER_STATE = ("/var/lib/glusterd", "/var/log/glusterfs", "/run/gluster")


def use_address(daemon: PrivateLibvirtd) -> None:
    """Give the namespace a network with one address."""
    daemon.run("ip", "link", "set", "lo", "up")
    daemon.run("ip", "address", "replace", f"{ADDRESS}/32", "dev", "lo")


def _wait(daemon: PrivateLibvirtd, process: subprocess.Popen, *command: str) -> None:
    """Until a command succeeds that asks whether a server is up."""
    deadline = time.monotonic() + _PATIENCE
    while (answer := daemon.run(*command, check=False)).returncode:
        assert process.poll() is None, f"the server ended: {process.returncode}"
        assert time.monotonic() < deadline, answer.stderr
        time.sleep(0.1)


class IscsiTarget:
    """tgtd with one target that has one unit.

    :param folder: an empty directory, for the unit's file and the control socket
    :param chap: (user, password) to log in with, or None
    """

    SIZE = 20 * 1024**2
    IQN = "iqn.2026-11.com.example:target"

    def __init__(
        self, daemon: PrivateLibvirtd, folder: Path, chap: tuple[str, str] | None = None
    ) -> None:
        self._daemon = daemon
        self._ipc = f"TGT_IPC_SOCKET={folder}/socket"
        self._backing = folder / "unit"
        self._backing.write_bytes(bytes(self.SIZE))
        self._chap = chap
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Self:
        use_address(self._daemon)
        portal = f"portal={ADDRESS}:3260"
        command = ("env", self._ipc, "tgtd", "--foreground", "--iscsi", portal)
        self._process = subprocess.Popen(
            self._daemon.command(*command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        show = ("env", self._ipc, "tgtadm", "--mode", "target", "--op", "show")
        _wait(self._daemon, self._process, *show)
        self._admin("target", "new", "--tid", "1", "--targetname", self.IQN)
        unit = ("--tid", "1", "--lun", "1", "--backing-store", str(self._backing))
        self._admin("logicalunit", "new", *unit)
        self._admin("target", "bind", "--tid", "1", "--initiator-address", "ALL")
        if self._chap:
            user, password = self._chap
            self._admin("account", "new", "--user", user, "--password", password)
            self._admin("account", "bind", "--tid", "1", "--user", user)
        return self

    def __exit__(self, *_error: object) -> None:
        # It keeps running on SIGTERM while it has a target.
        self._process.kill()
        self._process.wait(_PATIENCE)

    def _admin(self, mode: str, action: str, *arguments: str) -> None:
        command = ("env", self._ipc, "tgtadm", "--lld", "iscsi", "--mode", mode, "--op", action)
        self._daemon.run(*command, *arguments)


class GlusterVolume:
    """glusterd with one volume of one brick.

    :param folder: an empty directory, for the brick
    """

    NAME = "images"

    def __init__(self, daemon: PrivateLibvirtd, folder: Path) -> None:
        self._daemon = daemon
        self.brick = folder / "brick"
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Self:
        use_address(self._daemon)
        for directory in _GLUSTER_STATE:
            self._daemon.run("mkdir", "-p", directory)
            self._daemon.run("mount", "-t", "tmpfs", "tmpfs", directory)
        self._process = subprocess.Popen(
            self._daemon.command("glusterd", "--no-daemon"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _wait(self._daemon, self._process, "gluster", "--mode=script", "volume", "info")
        brick = f"{ADDRESS}:{self.brick}"
        self._gluster("create", self.NAME, brick, "force")
        self._gluster("start", self.NAME)
        return self

    def __exit__(self, *_error: object) -> None:
        self._gluster("stop", self.NAME)
        self._process.terminate()
        self._process.wait(_PATIENCE)
        for directory in _GLUSTER_STATE:
            self._daemon.run("umount", "--lazy", directory)

    def _gluster(self, *arguments: str) -> None:
        self._daemon.run("gluster", "--mode=script", "volume", *arguments)
