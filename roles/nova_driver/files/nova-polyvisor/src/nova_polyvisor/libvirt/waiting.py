# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: Apache-2.0
"""Waiting for libvirt where it sends no event: polling with back-off and a deadline."""

import time
from collections.abc import Callable, Hashable

#: Seconds between two looks: the first wait, and what it doubles up to.
_PAUSE = (0.05, 2.0)


def poll(done: Callable[[], bool], timeout: float, progress: Callable[[], Hashable]) -> bool:
    """Look until something is done.

    :param done: looks; true once there is nothing to wait for
    :param timeout: seconds without progress after which waiting is given up
    :param progress: how far it is; the deadline moves on whenever this changes
    :returns: whether it was done in time
    """
    pause, longest = _PAUSE
    reached = progress()
    deadline = time.monotonic() + timeout
    while not done():
        found = progress()
        if found != reached:
            reached = found
            deadline = time.monotonic() + timeout
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, longest)
    return True
