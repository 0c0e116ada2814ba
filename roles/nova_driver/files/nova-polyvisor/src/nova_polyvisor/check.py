# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Prove that compute drivers load: ``python -m nova_polyvisor.check <compute_driver>...``.

Run with the interpreter of the nova that will load them. One JSON object a line and driver is
printed: ``driver`` (as in nova's option ``compute_driver``), ``class``, ``nova``, ``plugin``,
``loads`` and ``error``. The exit status is 1 if a driver does not load, 2 if none is named.
"""

import contextlib
import importlib
import inspect
import json
import sys
from typing import Any

import nova_polyvisor
from nova_polyvisor import compat

#: What importing a module that does not fit its environment comes to.
LOAD_ERRORS = (
    ImportError,
    AttributeError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


def check(compute_driver: str) -> dict[str, Any]:
    """Load a driver's class the way nova does and say what came of it.

    :param compute_driver: module and class under ``nova.virt``
    :returns: one line of the report
    """
    report: dict[str, Any] = {
        "driver": compute_driver,
        "class": None,
        "nova": None,
        "plugin": nova_polyvisor.__version__,
        "loads": False,
        "error": None,
    }
    try:
        report["nova"] = compat.nova_version()
        loaded = _load(compute_driver)
    except LOAD_ERRORS as error:
        report["error"] = f"{type(error).__name__}: {error}"
    else:
        report["class"] = f"{loaded.__module__}.{loaded.__qualname__}"
        report["loads"] = True
    return report


def _load(compute_driver: str) -> type:
    compat.require_supported_nova()
    _configure_nova()
    module_name, _dot, class_name = compute_driver.rpartition(".")
    if not module_name:
        raise ImportError(f"{compute_driver!r} names no class: it must be <module>.<class>")
    loaded = getattr(importlib.import_module(f"nova.virt.{module_name}"), class_name, None)
    if loaded is None:
        raise ImportError(f"module nova.virt.{module_name} has no class {class_name}")
    base = importlib.import_module("nova.virt.driver").ComputeDriver
    if not (inspect.isclass(loaded) and issubclass(loaded, base)):
        raise TypeError(f"nova.virt.{compute_driver} is not a ComputeDriver")
    abstract = sorted(getattr(loaded, "__abstractmethods__", ()))
    if abstract:
        raise TypeError(f"nova.virt.{compute_driver} lacks {', '.join(abstract)}")
    return loaded


def _configure_nova() -> None:
    """Give nova its defaults, which must be known before its libvirt driver is imported."""
    conf = importlib.import_module("nova.conf").CONF
    conf([], project="nova", default_config_files=[], default_config_dirs=[])


def main(compute_drivers: list[str]) -> int:
    """Report on drivers; the return value is the exit status."""
    if not compute_drivers:
        print("usage: python -m nova_polyvisor.check <compute_driver>...", file=sys.stderr)
        return 2
    with contextlib.redirect_stdout(sys.stderr):  # what nova prints on import is no report
        reports = [check(compute_driver) for compute_driver in compute_drivers]
    for report in reports:
        print(json.dumps(report))
    return 0 if all(report["loads"] for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
