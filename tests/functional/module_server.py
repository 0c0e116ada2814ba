# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs modules in processes forked from one that has imported what they need already.

A module runs from its main() as it does on a target, with its arguments in a file, in a process of
its own; only the start of an interpreter for each is saved.

Usage: module_server.py SOCKET. A client sends the name of a module and the path of its arguments,
a line each, and reads what the module prints until the end.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys

PACKAGE = "ansible_collections.polyvisor.compute.plugins.modules"
_MODULES = (
    *("libvirt_pool", "libvirt_pool_info", "libvirt_secret", "libvirt_secret_info"),
    *("libvirt_volume", "libvirt_volume_info"),
)


def _answer(connection: socket.socket) -> None:
    """Be the module that the client asks for; does not return."""
    with connection.makefile() as request:
        module, arguments = request.readline().strip(), request.readline().strip()
    for stream in (1, 2):
        os.dup2(connection.fileno(), stream)
    sys.argv = [module, arguments]
    importlib.import_module(f"{PACKAGE}.{module}").main()


def main(path: str) -> None:
    """Serve until the process is ended."""
    for module in _MODULES:
        importlib.import_module(f"{PACKAGE}.{module}")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{path}.new")
    listener.listen()
    os.rename(f"{path}.new", path)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection = listener.accept()[0]
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _answer(connection)
        connection.close()


if __name__ == "__main__":
    main(sys.argv[1])
