#!/usr/bin/env bash
# debian.sh WHAT PACKAGE…   Make sure that Debian packages are there: installs them as root, else says what is missing and goes on.
set -eu
what=$1; shift
command -v dpkg-query >/dev/null || exit 0  # not a Debian: the tests themselves look for the programs
missing=()
for package; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "debian: $what need: apt-get install ${missing[*]}" >&2
    exit 0
fi
echo "debian: installing ${missing[*]} for $what"
export DEBIAN_FRONTEND=noninteractive
# Tests start servers of their own: what a package brings must not be started as a service.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
