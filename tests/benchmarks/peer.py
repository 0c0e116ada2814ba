# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second nova-compute beside the demo's, with nova's own driver and a libvirtd of its own.

Placement knows a hypervisor by libvirt's host name, so the peer's libvirtd runs in mount and UTS
namespaces of its own, where the host has another name.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.cloud import Cloud, eventually, run

HOST = "bench-peer"
CONFIG = Path("/etc/nova/compute/nova-pools.conf")
PRIVATE = ("/run/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/etc/libvirt/qemu")
LIBVIRTD = """
set -e
mount --make-rprivate /
hostname {host}
for directory in {private}; do mkdir -p $directory; mount -t tmpfs -o mode=755 tmpfs $directory; done
virtlogd --pid-file {directory}/virtlogd.pid &
virtlockd --pid-file {directory}/virtlockd.pid &
exec libvirtd --pid-file {directory}/libvirtd.pid --config {directory}/libvirtd.conf
"""


@contextlib.contextmanager
def _process(*command: str, log: Path, **options) -> Iterator[subprocess.Popen]:
    """A process in a session of its own, ended with all its children."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )
        try:
            yield process
        finally:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                    break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _configure(directory: Path) -> Path:
    """The demo's own configuration with nova's driver and qcow2 backend in place of ours."""
    config = configparser.RawConfigParser(strict=False)
    config.read_string(run("cat", str(CONFIG)))
    config["DEFAULT"].update(
        host=HOST,
        state_path=str(directory / "state"),
        compute_driver="libvirt.LibvirtDriver",
        log_file=str(directory / "nova-compute.log"),
    )
    for option in ("instances_path", "log_dir"):
        config.remove_option("DEFAULT", option)
    config.remove_section("libvirt_storage")
    config["libvirt"].update(
        connection_uri=f"qemu+unix:///system?socket={directory}/libvirt-sock",
        images_type="qcow2",
    )
    if "compute" in config:
        config.remove_option("compute", "provider_config_location")
    path = directory / "nova.conf"
    with path.open("w") as stream:
        config.write(stream)
    return path


def _nova_compute() -> list[str]:
    """How the demo's own nova-compute is started: interpreter and program."""
    pid = run("pgrep", "-f", "nova-compute .*nova-pools.conf").split()[0]
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:2]


@contextlib.contextmanager
def peer_compute(cloud: Cloud) -> Iterator[str]:
    """Run the peer; yields its host name once Nova can schedule to it. Needs root."""
    directory = Path(tempfile.mkdtemp(prefix="bench-peer-"))
    try:
        directory.chmod(0o755)
        (directory / "state" / "instances").mkdir(parents=True)
        (directory / "libvirtd.conf").write_text(
            f'unix_sock_dir = "{directory}"\nunix_sock_group = "libvirt"\n'
            'unix_sock_rw_perms = "0770"\nauth_unix_rw = "none"\n'
        )
        config = _configure(directory)
        script = LIBVIRTD.format(host=HOST, directory=directory, private=" ".join(PRIVATE))
        for path in (directory, *directory.rglob("*")):
            shutil.chown(path, "nova", "nova")
        namespaces = ("unshare", "--mount", "--uts", "bash", "-c", script)
        with _process(*namespaces, log=directory / "libvirtd.log"):
            eventually((directory / "libvirt-sock").exists, 60, "the peer's libvirtd")
            with _process(
                *_nova_compute(),
                f"--config-file={config}",
                log=directory / "out.log",
                user="nova",
                group="nova",
                extra_groups=["libvirt", "kvm"],
            ):
                try:
                    _wait_until_schedulable(cloud)
                    yield HOST
                finally:
                    _forget(cloud)
    finally:
        shutil.rmtree(directory)


def _services(cloud: Cloud) -> list:
    return [s for s in cloud.api.compute.services() if s.host == HOST]


def _wait_until_schedulable(cloud: Cloud) -> None:
    eventually(lambda: any(s.state == "up" for s in _services(cloud)), 90, "the peer's service")
    manage = ("/opt/mini-cloud/venv/bin/nova-manage", "--config-file=/etc/mini-cloud/nova.conf")
    # The database knows the cloud's own user alone.
    run("runuser", "-u", "mini-cloud", "--", *manage, "cell_v2", "discover_hosts", "--by-service")


def _forget(cloud: Cloud) -> None:
    """Delete the peer's servers and its service record."""
    for server in list(cloud.api.compute.servers(all_projects=True)):
        if server.compute_host == HOST:
            cloud.delete(server)
    for service in _services(cloud):
        cloud.api.compute.delete_service(service)
