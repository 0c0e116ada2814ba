# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a module that is killed as soon as it has changed something in libvirt for the nth time.

Usage: killed_run.py N MODULE ARGUMENTS
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from typing import Any, Callable

import libvirt

_CHANGING = {
    libvirt.virConnect: ("storagePoolCreateXML", "storagePoolDefineXML", "secretDefineXML"),
    libvirt.virStoragePool: (
        *("build", "create", "destroy", "delete", "undefine", "setAutostart", "refresh"),
        *("createXML", "createXMLFrom"),
    ),
    libvirt.virStorageVol: ("delete", "resize"),
    libvirt.virSecret: ("setValue", "undefine"),
}


class _Countdown:
    """Ends the process, without leave to clean up, after a number of calls."""

    def __init__(self, number: int) -> None:
        self._left = number

    def watch(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, counted. The in-process reader of definitions is no change."""

        def counted(handle: Any, *arguments: Any, **options: Any) -> Any:
            result = function(handle, *arguments, **options)
            connection = handle if isinstance(handle, libvirt.virConnect) else handle.connect()
            if connection.getType() != "TEST":
                self._left -= 1
                if not self._left:
                    os.kill(os.getpid(), signal.SIGKILL)
            return result

        return counted


def main(number: str, module: str, *arguments: str) -> None:
    """Run the module under the countdown."""
    countdown = _Countdown(int(number))
    for owner, names in _CHANGING.items():
        for name in names:
            setattr(owner, name, countdown.watch(getattr(owner, name)))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
