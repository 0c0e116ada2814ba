# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image that is uploaded and downloaded: 10 GiB with 200 MiB of data."""

from __future__ import annotations

import random
from pathlib import Path

SIZE = 10 * 1024**3
_PIECES = 20
_PIECE = 10 * 1024**2


def make_sparse_image(path: Path) -> Path:
    """Make it: pieces of noise of 10 MiB, evenly spread."""
    noise = random.Random(1)
    with path.open("wb") as file:
        file.truncate(SIZE)
        for number in range(_PIECES):
            file.seek(number * (SIZE // _PIECES))
            file.write(noise.randbytes(_PIECE))
    return path
