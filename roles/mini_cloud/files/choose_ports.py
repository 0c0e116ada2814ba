# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose loopback ports: read a request on stdin, print ``{service: port}`` as JSON.

The request is JSON: ``preferred`` and ``named`` (by the user), each ``{service: port}``, ``kept`` (path of the
choice of an earlier run, which need not exist), and ``user``, whose own listening sockets do not count as taken.
A port that the user named is never exchanged: if other software has it, the exit code is 1, and the reason, with
the process that has it, is on stderr.
"""

import glob
import json
import os
import pwd
import sys

LISTEN = "0A"
TRIES = 100


def listeners():
    """Return ``{port: (uid, inode)}`` of the listening TCP sockets, from proc(5)."""
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as lines:
                rows = [line.split() for line in lines][1:]
        except FileNotFoundError:
            continue
        found.update(
            (int(row[1].rpartition(":")[2], 16), (int(row[7]), row[9]))
            for row in rows
            if row[3] == LISTEN
        )
    return found


def owner(inode):
    """Return which process has a socket, as a text for people; one of a container may not be seen."""
    for link in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            if os.readlink(link) != f"socket:[{inode}]":
                continue
            pid = link.split("/")[2]
            with open(f"/proc/{pid}/comm", encoding="utf-8") as name:
                return f"process {pid} ({name.read().strip()})"
        except OSError:  # it has ended meanwhile
            continue
    return "a process that cannot be seen from here"


def uid_of(user):
    """Return the user's number, or None before the user exists."""
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def kept_ports(path):
    """Return ``{service: port}`` of an earlier run, or nothing."""
    try:
        with open(path, encoding="utf-8") as text:
            return json.load(text)
    except FileNotFoundError:
        return {}


def choose(request, taken):
    """Return ``{service: port}``; raise ValueError where a port that the user named cannot be had.

    ``taken`` is what `listeners` returns, without the user's own.
    """
    kept = kept_ports(request["kept"])
    unknown = sorted(set(request["named"]) - set(request["preferred"]))
    if unknown:
        known = ", ".join(sorted(request["preferred"]))
        raise ValueError(f"mini_cloud_ports names {', '.join(unknown)}; known are: {known}")
    chosen = {}
    for service, port in request["named"].items():
        wish = f"mini_cloud_ports wants port {port} for {service}, but"
        if port in taken:
            raise ValueError(
                f"{wish} {owner(taken[port][1])} listens there. Stop it, or name another port; nothing was changed."
            )
        if port in chosen.values():
            raise ValueError(f"{wish} for another service, too. Name another; nothing was changed.")
        chosen[service] = port
    for service, preferred in request["preferred"].items():
        if service in chosen:
            continue
        first = kept.get(service, preferred)
        candidates = [first, *range(preferred, preferred + TRIES)]
        free = [port for port in candidates if port not in taken and port not in chosen.values()]
        if not free:
            raise ValueError(
                f"no port from {preferred} to {preferred + TRIES - 1} is free for {service}"
            )
        chosen[service] = free[0]
    return chosen


def main():
    """Read the request, print the choice."""
    request = json.load(sys.stdin)
    own = uid_of(request["user"])
    taken = {port: (uid, inode) for port, (uid, inode) in listeners().items() if uid != own}
    try:
        print(json.dumps(choose(request, taken), sort_keys=True))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
