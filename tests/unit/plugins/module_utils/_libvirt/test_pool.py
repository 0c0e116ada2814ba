# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan for a pool while other runs are at it."""

from __future__ import annotations

import pytest
from ansible_collections.polyvisor.compute.plugins.module_utils._errors import Refused
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt import pool
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import Pool

OPTIONS = {"name": "files", "state": "active", "type": None, "target": None, "source": None}
MADE = Pool("files", "the-uuid", "active", False, False, "<pool/>", "<pool/>")


class Library:
    """Stands for a client that finds another pool from look to look."""

    def __init__(self, *seen):
        self._seen = list(seen)

    def find_pool(self, name):
        return self._seen.pop(0)


class PlanOfDevice:
    """Stands for a plan whose device is in use until the pool is there."""

    def __init__(self, client, options, found):
        self._found = found

    def make(self):
        if self._found is None:
            raise Refused("The device is in use.")
        return self._found


@pytest.fixture(autouse=True)
def device(monkeypatch):
    monkeypatch.setattr(pool, "_PoolPlan", PlanOfDevice)


def test_device_that_another_run_makes_the_pool_of_is_no_reason_to_refuse():
    assert pool.plan(Library(None, MADE), OPTIONS) is MADE


def test_device_that_is_in_use_for_something_else_is_refused():
    with pytest.raises(Refused, match="in use"):
        pool.plan(Library(None, None), OPTIONS)
