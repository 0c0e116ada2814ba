# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opens a connection to a libvirt daemon that is noticed to break.

libvirt's client library asks the daemon for a sign of life (a keepalive message) when it has been
silent for a while, and gives the connection up if none comes. A daemon that is only busy answers.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import cache

from ansible_collections.polyvisor.compute.plugins.module_utils._errors import (
    Refused,
    Unreachable,
)

try:
    import libvirt
except ImportError:
    libvirt = None

# How often to ask before giving up.
_QUESTIONS = 3


def connect(uri: str, timeout: int) -> libvirt.virConnect:
    """A connection whose calls fail once the daemon has been silent for too long.

    :param uri: a libvirt connection URI, see https://libvirt.org/uri.html
    :param timeout: seconds that the daemon may be silent, also while connecting; 0 for ever
    :raises Unreachable: if no daemon answers
    :raises Refused: if the number of seconds is negative
    """
    if timeout < 0:
        raise Refused(f"timeout={timeout} is negative. To wait for ever, set it to 0.")
    libvirt.registerErrorHandler(_keep_quiet, None)
    if not timeout:
        return _opened(uri)
    _run_event_loop()
    connection = _opened_within(uri, timeout)
    # A driver without a daemon (such as test:///) has nothing to keep alive.
    with suppress(libvirt.libvirtError):
        connection.setKeepAlive(max(1, timeout // (_QUESTIONS + 1)), _QUESTIONS)
    return connection


def _keep_quiet(_context: object, _error: object) -> None:
    """Takes the place of libvirt's habit of printing every error to standard error."""


def _opened(uri: str) -> libvirt.virConnect:
    try:
        return libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise Unreachable(
            f"Could not connect to libvirt at {uri}: {error.get_error_message()}. Check that "
            "the URI is right, that libvirtd (or virtqemud and virtstoraged) runs there, and "
            "that the user of this task may use it (become, or group libvirt)."
        ) from error
    except ValueError as error:
        raise Unreachable(f"Could not connect to libvirt at {uri!r}: {error}.") from error


def _opened_within(uri: str, timeout: int) -> libvirt.virConnect:
    """Open in a thread that is left behind if it does not come back."""
    answer: list[libvirt.virConnect | Unreachable] = []

    def work() -> None:
        try:
            answer.append(_opened(uri))
        except Unreachable as error:
            answer.append(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(timeout)
    if not answer:
        raise Unreachable(
            f"libvirt at {uri} did not answer within {timeout} seconds. Look whether libvirtd (or "
            "virtqemud and virtstoraged) hangs there and, for a remote URI, whether ssh or the "
            "network asks or waits for something. To wait longer, raise timeout."
        )
    result = answer[0]
    if isinstance(result, Unreachable):
        raise result
    return result


@cache
def _run_event_loop() -> None:
    """Let libvirt send and see keepalive messages, in a thread that ends with the process."""
    libvirt.virEventRegisterDefaultImpl()

    def work() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=work, daemon=True).start()
