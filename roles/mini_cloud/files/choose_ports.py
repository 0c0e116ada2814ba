# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose loopback ports: read a request on stdin, print ``{service: port}`` as JSON.

The request is JSON: ``preferred``, ``kept`` (from an earlier run) and ``named`` (by the user), each
``{service: port}``, and ``user``, whose own listening sockets do not count as taken. A port that the user
named is never exchanged: if other software has it, the exit code is 1 and the reason is on stderr.
"""

import json
import pwd
import sys

LISTEN = "0A"
TRIES = 100


def listeners():
    """Return ``{port: uid}`` of the listening TCP sockets, from proc(5)."""
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as lines:
                rows = [line.split() for line in lines][1:]
        except FileNotFoundError:
            continue
        found.update(
            (int(row[1].rpartition(":")[2], 16), int(row[7])) for row in rows if row[3] == LISTEN
        )
    return found


def uid_of(user):
    """Return the user's number, or None before the user exists."""
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def choose(request, taken):
    """Return ``{service: port}``; raise ValueError where a port that the user named cannot be had."""
    unknown = sorted(set(request["named"]) - set(request["preferred"]))
    if unknown:
        known = ", ".join(sorted(request["preferred"]))
        raise ValueError(f"mini_cloud_ports names {', '.join(unknown)}; known are: {known}")
    chosen = {}
    for service, port in request["named"].items():
        if port in taken or port in chosen.values():
            raise ValueError(
                f"mini_cloud_ports wants port {port} for {service}, but other software listens there or it is named "
                f"twice. Free it ('ss -ltnp sport = :{port}' names the process) or choose another port."
            )
        chosen[service] = port
    for service, preferred in request["preferred"].items():
        if service in chosen:
            continue
        first = request["kept"].get(service, preferred)
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
    taken = {port for port, uid in listeners().items() if uid != own}
    try:
        print(json.dumps(choose(request, taken), sort_keys=True))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
