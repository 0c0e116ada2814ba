# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples in the documentation of the libvirt modules, run as they stand.

Directories and devices are replaced by ones of the test. Pools on servers that are not there are
defined and not started.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from modules import ModuleFailed, Modules
from pool_cases import RARE

_MODULES = Path(__file__).resolve().parents[2] / "plugins" / "modules"
_NAMESPACE = "polyvisor.compute."
# Types of pool that can be started here from nothing.
_STARTED = (None, "dir", "fs", "disk", "mpath")
# What Ansible says of arguments that do not fit a module.
_MISFIT = re.compile("Unsupported parameters|must be one of|missing|mutually|required|unable to")


def block(module: str, name: str) -> str:
    """The text of a module's DOCUMENTATION or EXAMPLES."""
    text = (_MODULES / f"{module}.py").read_text()
    return re.search(rf'^{name} = r"""\n(.*?)^"""', text, re.DOTALL | re.MULTILINE)[1]


def examples(module: str) -> list[dict[str, Any]]:
    """The tasks in a module's EXAMPLES."""
    return yaml.safe_load(block(module, "EXAMPLES"))


def of_collection(task: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The module and the arguments of a task, if the module is one of the collection."""
    for key, arguments in task.items():
        if key.startswith(_NAMESPACE):
            return key.removeprefix(_NAMESPACE), arguments or {}
    return None


@pytest.fixture
def localized(tmp_path, make_device):
    """Puts directories and devices of the test in the place of those of an example."""
    devices: dict[str, str] = {}

    def device(match: re.Match) -> str:
        if match[0] not in devices:
            devices[match[0]] = make_device()
        return devices[match[0]]

    def change(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: change(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [change(inner) for inner in value]
        if not isinstance(value, str):
            return value
        value = re.sub(r"/dev/vd[a-z]", device, value)
        value = re.sub(r"\{\{.*?\}\}", "c2VjcmV0", value)
        return re.sub(r"(?<![\w.])/(srv|var/lib/nova)\b", rf"{tmp_path}/\1", value)

    return change


def run_pool(modules: Modules, arguments: dict[str, Any]) -> None:
    """Run an example of libvirt_pool: as it stands, or the definition only."""
    kind = arguments.get("type")
    if kind in RARE:
        try:
            modules.converge("libvirt_pool", **arguments, state="inactive")
        except ModuleFailed as failure:
            assert f"cannot manage pools of type {kind}" in str(failure)
    elif kind in _STARTED:
        modules.converge("libvirt_pool", **arguments)
    else:
        modules.converge("libvirt_pool", **arguments, state="inactive", build="never")


def test_pools(modules, localized):
    """One after the other: later examples go on with the pools of earlier ones."""
    kinds = set()
    for task in examples("libvirt_pool"):
        module, arguments = of_collection(task)
        if module == "libvirt_pool":
            kinds.add(arguments.get("type"))
            run_pool(modules, localized(arguments))
        else:
            modules.converge(module, **localized(arguments))
    documented = yaml.safe_load(block("libvirt_pool", "DOCUMENTATION"))["options"]["type"][
        "choices"
    ]
    assert kinds >= set(documented), "a type of pool has no example"


@pytest.mark.parametrize("module", ["libvirt_pool_info", "libvirt_secret_info"])
def test_info(modules, module):
    for task in examples(module):
        found = of_collection(task)
        if found:
            modules.run(found[0], **found[1])


def test_secrets(modules, localized):
    """Those that store a value in any case are a change each time."""
    for task in examples("libvirt_secret"):
        module, arguments = of_collection(task)
        if arguments.get("update_value") == "always":
            assert modules.run(module, **localized(arguments))["changed"]
        else:
            modules.converge(module, **localized(arguments))


@pytest.mark.parametrize("module", ["libvirt_volume", "libvirt_volume_info"])
def test_arguments_fit_the_module(modules, localized, module):
    for task in examples(module):
        found = of_collection(task)
        if found:
            try:
                modules.run(found[0], check=True, **localized(found[1]))
            except ModuleFailed as failure:
                assert not _MISFIT.search(str(failure)), failure
