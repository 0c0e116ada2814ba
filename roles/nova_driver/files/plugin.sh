#!/bin/sh
# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Builds, installs and removes the plugin with pip. Run under flock, so that two runs take turns.
#
# plugin.sh STATE build DIRECTORY                   the wheel into DIRECTORY; standard input is the source, tar in base64
# plugin.sh STATE install PYTHON NOVA MARK WHEEL DRIVER...
#                                                   WHEEL beside the nova in NOVA; prints the proof that it loads
# plugin.sh STATE remove PYTHON NOVA MARK           no version of the plugin beside that nova
#
# STATE/pip is a virtual environment for pip alone: nova's own may have none, or one that knows no --python.
# MARK is a file that is there while the plugin is being replaced: it tells a killed run from a foreign file.
set -eu
umask 022
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_INPUT=1

pip() {
    "$state/pip/bin/python" -m pip "$@" </dev/null
}

provide_pip() {
    pip --version >/dev/null 2>&1 || /usr/bin/python3 -m venv --clear "$state/pip"
}

build() {
    fresh="$state/build"
    rm -rf "$fresh"
    mkdir -p "$fresh/source"
    base64 --decode | tar --extract --gzip --no-same-owner --directory="$fresh/source"
    pip wheel --quiet --no-deps --wheel-dir "$fresh/wheel" "$fresh/source"
    rm -rf "$1"
    mv "$fresh/wheel" "$1"
    rm -rf "$fresh"
}

# Remove what a killed pip left, which pip itself would refuse to touch or overlook.
heal() {
    [ -e "$mark" ] || return 0
    rm -rf "$nova"/nova_polyvisor "$nova"/nova_polyvisor-*.dist-info "$nova"/nova/virt/polyvisor \
        "$nova"/?ova_polyvisor "$nova"/?ova_polyvisor-*.dist-info "$nova"/nova/virt/?olyvisor
}

refuse_foreign_files() {
    for record in "$nova"/nova_polyvisor-*.dist-info/RECORD; do
        [ ! -e "$record" ] || return 0
    done
    for path in "$nova"/nova_polyvisor "$nova"/nova/virt/polyvisor; do
        [ ! -e "$path" ] || {
            echo "$path exists, and no installed nova-polyvisor owns it: remove it, or use another nova" >&2
            exit 1
        }
    done
}

main() {
    state=$1 action=$2
    shift 2
    provide_pip
    if [ "$action" = build ]; then
        build "$@"
        return
    fi
    python=$1 nova=$2 mark=$3
    shift 3
    heal
    refuse_foreign_files
    : >"$mark"
    if [ "$action" = install ]; then
        wheel=$1
        shift
        pip --python "$python" install --quiet --no-deps --no-index --force-reinstall --break-system-packages "$wheel"
    else
        pip --python "$python" uninstall --quiet --yes --break-system-packages nova-polyvisor
    fi
    rm -f "$mark"
    [ "$action" = remove ] || "$python" -m nova_polyvisor.check "$@"
}

main "$@"
