# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create and migrate the services' databases: read a plan on stdin, print what was done as JSON.

The plan is JSON::

    {"lock": path, "stamps": directory, "logs": directory, "secrets": path, "socket": path,
     "user": name, "home": directory,
     "services": [{"name", "version", "databases": [name], "commands": [[word]],
                   "creation": [[word]], "environment": {variable: key of secrets}}]}

A service whose stamp carries its version, and whose databases have tables, is left alone. One with another
version runs its commands, which all may run twice. One without a stamp never finished, so its databases hold
nothing worth keeping, and a migration that was killed cannot be resumed: they are made anew, and the commands
of ``creation``, which may run once only, follow the others. Services run side by side; the lock keeps
out what a killed run left behind. Nothing but the commands' own output is logged.
"""

import concurrent.futures
import fcntl
import json
import os
import pathlib
import subprocess
import sys

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class SyncError(Exception):
    """A command failed; the text says which, and where its log is."""


class Databases:
    """The private MariaDB, reached as its owner through its socket."""

    def __init__(self, plan):
        self._plan = plan

    def command(self, words):
        """Return words as run by the cloud's user."""
        user = self._plan["user"]
        return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--", *words]

    def query(self, sql):
        """Run SQL, return the rows as lists of text."""
        words = [
            "mariadb",
            "--no-defaults",
            f"--socket={self._plan['socket']}",
            "--batch",
            "--skip-column-names",
        ]
        done = subprocess.run(
            self.command(words), input=sql, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SyncError(f"MariaDB refused '{sql}': {done.stderr.strip()}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def filled(self):
        """Return the names of the databases that have tables."""
        return {
            row[0]
            for row in self.query("SELECT DISTINCT table_schema FROM information_schema.tables")
        }

    def remake(self, names):
        """Drop and create databases."""
        for name in names:
            self.query(
                f"DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name} CHARACTER SET utf8mb3"
            )


def run(plan, service, commands, databases):
    """Run commands of a service in order, as the cloud's user; raise SyncError at the first failure."""
    log = pathlib.Path(plan["logs"], f"{service['name']}-sync.log")
    secrets = json.loads(pathlib.Path(plan["secrets"]).read_text(encoding="utf-8"))
    environment = {
        "PATH": SYSTEM_PATH,
        "HOME": plan["home"],
        "LANG": "C.UTF-8",
        "PYTHONWARNINGS": "ignore",
    }
    environment.update((name, secrets[key]) for name, key in service.get("environment", {}).items())
    with log.open("a", encoding="utf-8") as out:
        for words in commands:
            done = subprocess.run(
                databases.command(words),
                env=environment,
                cwd=plan["home"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
            )
            if done.returncode:
                tail = "\n".join(
                    log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
                )
                raise SyncError(
                    f"{service['name']}: '{' '.join(words)}' ended with {done.returncode}. Log: {log}\n{tail}"
                )


def sync(plan, service, databases, filled):
    """Bring one service's databases to its version; return whether anything was done."""
    stamp = pathlib.Path(plan["stamps"], service["name"])
    known = stamp.read_text(encoding="utf-8") if stamp.exists() else None
    if known is not None and not filled.issuperset(service["databases"]):
        known = None
    if known == service["version"]:
        return False
    if known is None:
        stamp.unlink(missing_ok=True)
        databases.remake(service["databases"])
    commands = service["commands"] + (service.get("creation", []) if known is None else [])
    run(plan, service, commands, databases)
    stamp.write_text(service["version"], encoding="utf-8")
    return True


def main():
    """Read the plan, bring all services up to it, report."""
    plan = json.load(sys.stdin)
    os.umask(0o027)
    with open(plan["lock"], "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        databases = Databases(plan)
        try:
            filled = databases.filled()
            with concurrent.futures.ThreadPoolExecutor() as pool:
                results = {
                    service["name"]: pool.submit(sync, plan, service, databases, filled)
                    for service in plan["services"]
                }
            done = [name for name, result in results.items() if result.result()]
        except SyncError as error:
            sys.exit(str(error))
    print(json.dumps({"synced": done}))


if __name__ == "__main__":
    main()
