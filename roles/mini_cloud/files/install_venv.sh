#!/bin/sh
# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# install_venv.sh VENV CONSTRAINTS LOG REQUIREMENT...
#
# Makes VENV anew unless a finished one with the same requirements and constraints is there. The lock lets a
# run wait for the installation that a killed run left behind; the stamp is written last, so that a half-made
# environment is never taken for a whole one. The lock file holds the process group while it works.
set -eu
venv=$1 constraints=$2 log=$3
shift 3
digest=$({ echo "$@"; cat "$constraints"; } | sha256sum | cut -d ' ' -f 1)
exec 9<>"$venv.lock"
flock 9
if [ "$(cat "$venv/.finished" 2>/dev/null)" = "$digest" ]; then
    echo unchanged
    exit 0
fi
ps -o pgid= -p $$ >"$venv.lock"
rm -rf "$venv"
/usr/bin/python3 -m venv "$venv" >"$log" 2>&1
PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/pip" install --no-input --progress-bar off \
    --constraint "$constraints" "$@" >>"$log" 2>&1
echo "$digest" >"$venv/.finished"
: >"$venv.lock"
echo changed
