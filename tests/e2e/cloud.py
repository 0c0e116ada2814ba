# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's cloud as the end-to-end tests and the benchmarks see it."""

from __future__ import annotations

import os
import re
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import openstack
import yaml

ROOT = Path(__file__).resolve().parents[2]
CLOUDS = Path("/etc/mini-cloud/clouds.yaml")
DISKS_POOL = "nova-disks-pool"
BASE_POOL = "nova-base-images-pool"
#: Name of the demo's server and of its flavor, and of its image.
DEMO = "polyvisor-demo"
IMAGE = "polyvisor-guest"
#: What the demo's guest prints when it has read it from its disk.
MARKER = "hello from a disk in a libvirt storage pool"
SUDO = [] if os.geteuid() == 0 else ["sudo"]

T = TypeVar("T")


def run(*command: str) -> str:
    """A command's standard output, as root.

    :raises subprocess.CalledProcessError: it failed
    """
    return subprocess.run([*SUDO, *command], check=True, text=True, capture_output=True).stdout


def make(target: str, **variables: str) -> subprocess.CompletedProcess:
    """`make TARGET NAME=VALUE` as a user calls it; without colours, both streams in one."""
    settings = [f"{name}={value}" for name, value in {"NO_COLOR": "1", **variables}.items()]
    return subprocess.run(
        ["make", "--no-print-directory", target, *settings],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def eventually(look: Callable[[], T | None], within: float, what: str) -> T:
    """What `look` returns once that is true, asked for at most `within` seconds.

    :raises TimeoutError: it never was
    """
    deadline = time.monotonic() + within
    pause = 0.1
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within:.0f} s: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)


@dataclass(frozen=True)
class Volume:
    """A volume of a libvirt pool, as `virsh vol-dumpxml` tells it; sizes in bytes."""

    name: str
    capacity: int
    format: str
    backing: str | None


def volumes(pool: str, ask: Callable[..., str] = run) -> dict[str, Volume]:
    """The volumes of a pool by name; `ask` runs commands where the pool is."""
    ask("virsh", "pool-refresh", pool)
    found = {}
    for line in ask("virsh", "vol-list", pool).splitlines()[2:]:
        if not line.strip():
            continue
        name = line.split()[0]
        xml = ET.fromstring(ask("virsh", "vol-dumpxml", "--pool", pool, name))
        found[name] = Volume(
            name=name,
            capacity=int(xml.findtext("capacity", "0")),
            format=xml.find("target/format").get("type"),
            backing=xml.findtext("backingStore/path"),
        )
    return found


def volumes_of(server_id: str) -> dict[str, Volume]:
    """A server's volumes by the part of their name that follows its uuid."""
    prefix = f"{server_id}_"
    return {
        name.removeprefix(prefix): volume
        for name, volume in volumes(DISKS_POOL).items()
        if name.startswith(prefix)
    }


class Cloud:
    """The demo's cloud through the OpenStack API."""

    def __init__(self) -> None:
        settings = yaml.safe_load(run("cat", str(CLOUDS)))["clouds"]["mini-cloud"]
        self.api = openstack.connect(
            load_yaml_config=False,
            load_envvars=False,
            auth=settings["auth"],
            region_name=settings.get("region_name"),
            compute_api_version="2",
            compute_default_microversion="2.96",
        )

    def demo_server(self):
        """The server that the demo booted."""
        return self.api.compute.get_server(
            self.api.compute.find_server(DEMO, ignore_missing=False).id
        )

    def boot(self, name: str, **request):
        """Ask for a server with the demo's image and flavor, unless others are named."""
        if "image_id" not in request:
            request["image_id"] = self.api.image.find_image(IMAGE, ignore_missing=False).id
        if "flavor_id" not in request:
            request["flavor_id"] = self.api.compute.find_flavor(DEMO, ignore_missing=False).id
        return self.api.compute.create_server(name=name, **{"networks": "none", **request})

    def wait(self, server, status: str, within: float = 90):
        """The server once it has that status and no task is under way on it.

        :raises AssertionError: it went to ERROR instead, with the fault
        """

        def settled():
            try:
                found = self.api.compute.get_server(server.id)
            except openstack.exceptions.NotFoundException:
                return status == "GONE"
            if found.status == "ERROR" and status not in ("ERROR", "GONE"):
                raise AssertionError(f"server {server.name} is in ERROR: {found.fault}")
            return found if found.status == status and not found.task_state else None

        return eventually(settled, within, f"server {server.name} {status}")

    def console(self, server) -> str:
        """All that the guest has written to its serial console."""
        return self.api.compute.get_server_console_output(server.id)["output"]

    def wait_for_console(self, server, marker: str, within: float = 60) -> str:
        """The console's text once it holds the marker."""
        return eventually(
            lambda: text if marker in (text := self.console(server)) else None,
            within,
            f"{marker!r} on the console of {server.name}",
        )

    def delete(self, server) -> None:
        """Delete a server and wait until it is gone."""
        self.api.compute.delete_server(server.id, ignore_missing=True)
        self.wait(server, "GONE")


def boots(cloud: Cloud, server, at_least: int = 1, within: float = 90) -> int:
    """How often the guest has booted from its disk, by the count that it keeps there.

    Waits until it has done so that often and is ready for the power button.
    """

    def count() -> int | None:
        last = re.search(r".*boot (\d+) of this disk(.*)", cloud.console(server), re.DOTALL)
        ready = last and int(last[1]) >= at_least and "polyvisor-guest: ready" in last[2]
        return int(last[1]) if ready else None

    number = eventually(count, within, f"boot {at_least} of {server.name}'s disk")
    assert MARKER in cloud.console(server)
    return number
