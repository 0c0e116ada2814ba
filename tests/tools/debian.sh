# shellcheck shell=bash
# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Functions of the scripts that make a Debian 12 system for tests, from the mirrors that apt uses here.
# shellcheck disable=SC2016 # apt and mmdebstrap expand the quoted variables

release=bookworm
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
authorities=/usr/local/share/ca-certificates

# The mirror that apt uses here for what Debian labels $1, or else $2.
mirror() {
  local found
  found=$(apt-get indextargets --format '$(REPO_URI)' \
    'Created-By: Packages' 'Origin: Debian' "Label: $1" | head -n 1)
  printf '%s\n' "${found:-$2}"
}

sources() {
  local main security
  main=$(mirror Debian http://deb.debian.org/debian/)
  security=$(mirror Debian-Security http://deb.debian.org/debian-security/)
  printf 'deb [signed-by=%s] %s %s main\n' \
    "$keyring" "$main" "$release" \
    "$keyring" "$main" "$release-updates" \
    "$keyring" "$security" "$release-security"
}

# How apt reaches its mirrors here: proxies, time-outs, checks.
acquire_options() {
  apt-config dump Acquire |
    grep -vE '^Acquire::(IndexTargets|Changelogs|cdrom)|^[^ ]+ "";$' | sort
}

# recipe_hash FILE...: changes with the files, and with all else that a system is made from.
recipe_hash() {
  {
    cat "${BASH_SOURCE[0]}" "$@"
    sources
    acquire_options
    find "$authorities" -type f -exec sha256sum {} + 2>/dev/null | sort
  } | sha256sum | cut -d ' ' -f 1
}

# bootstrap PACKAGES TARGET OPTION...: a system with the packages (separated by commas), made as
# mmdebstrap's options say.
bootstrap() {
  local packages=$1 target=$2 options=()
  shift 2
  while IFS= read -r option; do
    options+=("--aptopt=$option")
  done < <(acquire_options)
  sources | mmdebstrap --quiet --variant=minbase --include="$packages" "${options[@]}" \
    --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' "$@" "$release" "$target" -
}
