#!/usr/bin/env bash
# Debian's PostgreSQL and PgBouncer for the tests, which start servers of their own: no main cluster is made and nothing is left running.
set -eu
here=$(dirname "$0")
[ ! -x /usr/sbin/pgbouncer ] || ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || exit 0
policy=/usr/sbin/policy-rc.d
if [ "$(id -u)" = 0 ]; then
    mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
    if [ ! -e $policy ]; then  # asked before a package starts its service
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod +x $policy
        trap 'rm -f $policy' EXIT
    fi
fi
"$here/debian.sh" "the tests of the PostgreSQL engine" postgresql pgbouncer
