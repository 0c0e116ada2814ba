# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers with ports, on the demo's cloud with its option for Neutron."""

from __future__ import annotations

import re
import uuid

import pytest

from .cloud import make, run
from .faults import FULL

pytestmark = pytest.mark.skipif(not FULL, reason="of the slow tier")


@pytest.fixture(scope="module")
def neutron(cloud):
    """The Networking API of the demo's cloud, which has Neutron for the tests of this module."""
    done = make("demo", DEMO_ARGS="-e mini_cloud_neutron=true")
    assert done.returncode == 0, done.stdout
    yield cloud.api.network
    done = make("demo")
    assert done.returncode == 0, done.stdout
    assert list(cloud.api.network.networks()) == []
    assert run("find", "/opt/mini-cloud", "/etc/mini-cloud", "-name", "neutron*") == ""


@pytest.fixture
def port(neutron):
    """A port on a network of its own."""
    network = neutron.create_network(name=f"e2e-{uuid.uuid4().hex[:8]}")
    neutron.create_subnet(network_id=network.id, ip_version=4, cidr="192.0.2.0/24")
    port = neutron.create_port(network_id=network.id)
    yield port
    neutron.delete_port(port)
    neutron.delete_network(network)


def devices() -> list[str]:
    """The names of this machine's network devices."""
    return re.findall(r"^(\S+)", run("ip", "-brief", "link"), re.MULTILINE)


def test_server_with_a_port_has_its_tap_device(cloud, boot, neutron, port):
    tap = f"tap{port.id}"[:14]
    server = boot(networks=[{"port": port.id}])
    bound = neutron.get_port(port.id)
    assert (bound.status, bound.binding_vif_type) == ("ACTIVE", "tap")
    assert (bound.binding_host_id, bound.device_id) == (server.compute_host, server.id)
    xml = run("virsh", "dumpxml", server.id)
    assert f"<mac address='{port.mac_address}'/>" in xml
    assert f"<target dev='{tap}'" in xml
    assert tap in devices()

    cloud.delete(server)

    assert tap not in devices()
    assert neutron.get_port(port.id).binding_vif_type == "unbound"


def test_neutron_is_not_taken_from_a_server(boot, port):
    server = boot(networks=[{"port": port.id}])
    refused = make("demo")
    assert refused.returncode != 0
    assert "servers have ports" in refused.stdout
    assert server.id in refused.stdout
