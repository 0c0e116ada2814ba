# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a libvirt module: one connection, and every failure told at one place."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.polyvisor.compute.plugins.module_utils._errors import (
    MissingLibrary,
    ModuleError,
)
from ansible_collections.polyvisor.compute.plugins.module_utils._libvirt.client import Client
from ansible_collections.polyvisor.compute.plugins.module_utils._reconcile import (
    Outcome,
    reconcile,
)


def ensure(
    module: AnsibleModule, make_plan: Callable[[Any], Any], client_class: type[Client] = Client
) -> None:
    """Bring a resource to the state that the module's options describe, and exit."""

    def work(client: Client) -> dict[str, Any]:
        outcome: Outcome = reconcile(lambda: make_plan(client), module.check_mode)
        for warning in outcome.warnings:
            module.warn(warning)
        return outcome.as_result()

    report(module, work, client_class)


def report(
    module: AnsibleModule,
    work: Callable[[Any], dict[str, Any]],
    client_class: type[Client] = Client,
) -> None:
    """Exit with what ``work`` returns, or fail with the message of its error."""
    try:
        with closing(client_class(module.params["uri"], module.params["timeout"])) as client:
            result = work(client)
    except MissingLibrary as error:
        module.fail_json(
            msg=missing_required_lib(
                error.library,
                reason="to speak to libvirt. Install python3-libvirt (Debian, Ubuntu, RedHat), "
                "or libvirt-python with pip into the virtual environment of that Python",
            ),
            exception=error.trace,
        )
    except ModuleError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**{"changed": False, **result})
