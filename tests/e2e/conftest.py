# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One demo for all end-to-end tests; `make e2e` undoes it after the last of them."""

from __future__ import annotations

import uuid

import pytest

from .cloud import Cloud, make


@pytest.fixture(scope="session")
def demo() -> str:
    """What `make demo` printed."""
    done = make("demo")
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="session")
def cloud(demo) -> Cloud:
    return Cloud()


@pytest.fixture
def demo_server(cloud):
    """The server that the demo booted."""
    return cloud.demo_server()


@pytest.fixture
def flavor(cloud):
    """Make a flavor for one test: flavor(ram=MiB, disk=GiB, ephemeral=GiB, swap=MiB)."""
    made = []

    def make_flavor(**sizes):
        sizes = {"ram": 192, "vcpus": 1, "disk": 1, **sizes}
        made.append(cloud.api.compute.create_flavor(name=f"e2e-{uuid.uuid4().hex[:8]}", **sizes))
        return made[-1]

    yield make_flavor
    for one in made:
        cloud.api.compute.delete_flavor(one)


@pytest.fixture
def boot(cloud):
    """Boot a server for one test: boot(wait="ACTIVE", **request); "" does not wait."""
    made = []

    def boot_server(wait="ACTIVE", **request):
        server = cloud.boot(f"e2e-{uuid.uuid4().hex[:8]}", **request)
        made.append(server)
        return cloud.wait(server, wait) if wait else server

    yield boot_server
    for server in made:
        cloud.delete(server)
