# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the collection's modules as Ansible does on a target: a process each, JSON in and out."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from module_server import PACKAGE
from private_libvirtd import PrivateLibvirtd

_PATIENCE = 180


class ModuleFailed(AssertionError):
    """A module ended with fail_json; the text is its message."""


class Modules:
    """The modules, run where the tests' libvirtd is.

    :param collections: directory that holds ansible_collections
    :param folder: an empty directory, for arguments and the server's socket
    """

    def __init__(self, daemon: PrivateLibvirtd, collections: Path, folder: Path) -> None:
        self._daemon = daemon
        self._folder = folder
        self._numbers = itertools.count()
        self._socket = str(folder / "socket")
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(collections),
            "PYTHONDONTWRITEBYTECODE": "1",
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_HOME": str(folder / "ansible"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        }
        server = str(Path(__file__).with_name("module_server.py"))
        self._server = self.spawn(server, self._socket)
        deadline = time.monotonic() + _PATIENCE
        while not os.path.exists(self._socket):
            assert self._server.poll() is None, self._server.communicate()
            assert time.monotonic() < deadline, "the module server did not start"
            time.sleep(0.05)

    def close(self) -> None:
        """End the server."""
        self._server.terminate()
        self._server.communicate(timeout=_PATIENCE)

    def spawn(self, *arguments: str) -> subprocess.Popen:
        """Start a Python that finds the collection, where the daemon is."""
        return subprocess.Popen(
            self._daemon.command(sys.executable, *arguments),
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _write(self, arguments: dict[str, Any], check: bool) -> str:
        arguments = {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}
        path = self._folder / f"{next(self._numbers)}.json"
        path.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        return str(path)

    def start(
        self, module: str, arguments: dict[str, Any], *launcher: str, check: bool = False
    ) -> subprocess.Popen:
        """Start a module in an interpreter of its own; see ``result``.

        :param launcher: a script, with arguments, that runs the module in its own way
        """
        how = launcher or ("-m",)
        return self.spawn(*how, f"{PACKAGE}.{module}", self._write(arguments, check))

    def result(self, process: subprocess.Popen) -> dict[str, Any]:
        """What a started module returned."""
        return self._parsed(process.communicate(timeout=_PATIENCE)[0])

    def run(self, module: str, check: bool = False, **arguments: Any) -> dict[str, Any]:
        """Run a module to its end.

        :raises ModuleFailed: if it fails
        """
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE)
            connection.connect(self._socket)
            connection.sendall(f"{module}\n{self._write(arguments, check)}\n".encode())
            with connection.makefile() as output:
                return self._parsed(output.read())

    @staticmethod
    def _parsed(output: str) -> dict[str, Any]:
        """The result of a module; nothing else may stand in its output."""
        result = json.loads(output)
        if result.get("failed"):
            assert "Traceback" not in output, output
            raise ModuleFailed(result["msg"])
        return result

    def everything(self) -> list[dict[str, Any]]:
        """All pools with all volumes, without figures that change by themselves.

        What a volume occupies does so, too, when its file system writes it out.
        """
        pools = self.run("libvirt_pool_info", volumes=True)["pools"]
        for pool in pools:
            for key in ("allocation", "available", "xml"):
                del pool[key]
            for volume in pool["volumes"]:
                del volume["allocation"], volume["xml"]
        return pools

    def converge(self, module: str, **arguments: Any) -> dict[str, Any]:
        """Run a module: check, apply, check, apply; return what the first apply returned.

        Check mode must change nothing and foretell the rest; the third and fourth run must find
        nothing to do.
        """
        was = self.everything()
        foretold = self.run(module, check=True, **arguments)
        assert self.everything() == was, "check mode changed something"
        applied = self.run(module, **arguments)
        for key in ("changed", "actions", "diff"):
            assert foretold[key] == applied[key], f"check mode foretold another {key}"
        became = self.everything()
        for check in (True, False):
            again = self.run(module, check=check, **arguments)
            assert not again["changed"], f"run again, check={check}: {again}"
            assert again["diff"]["before"] == again["diff"]["after"]
        assert self.everything() == became, "the fourth run changed something"
        return applied

    def refused(self, module: str, *words: str, **arguments: Any) -> str:
        """Run a module that must fail, in check mode too, and change nothing."""
        was = self.everything()
        messages = []
        for check in (True, False):
            try:
                result = self.run(module, check=check, **arguments)
            except ModuleFailed as failure:
                messages.append(str(failure))
            else:
                raise AssertionError(f"not refused, check={check}: {result}")
        for word in words:
            assert all(word in message for message in messages), messages
        assert self.everything() == was, "a refused request changed something"
        return messages[0]
