#!/bin/sh
# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# stop_installation.sh LOCK
#
# Stops the process group that holds LOCK (see install_venv.sh), if there is one, and waits until it is gone.
set -eu
exec 9<>"$1"
if flock --nonblock 9; then
    exit 0
fi
group=$(tr -d ' \n' <"$1")
kill -TERM "-$group"
flock --timeout 30 9
echo stopped
