#!/usr/bin/env bash
# Starts the server, and makes its cluster at the first start, by the variables of the official image that compose.yaml sets.
set -euo pipefail
export PATH=$PATH:/usr/lib/postgresql/15/bin PGDATA=/var/lib/postgresql/data

as_postgres() {
    setpriv --reuid postgres --regid postgres --clear-groups "$@"
}

install -d -o postgres -g postgres -m 700 "$PGDATA"
if [[ ! -s $PGDATA/PG_VERSION ]]; then
    as_postgres initdb --username "$POSTGRES_USER" --pwfile "$POSTGRES_PASSWORD_FILE" --auth-host scram-sha-256 --auth-local trust
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    as_postgres pg_ctl --wait --options "-c listen_addresses=" start
    as_postgres createdb --username "$POSTGRES_USER" "$POSTGRES_DB"
    as_postgres pg_ctl --wait stop
fi
exec setpriv --reuid postgres --regid postgres --clear-groups postgres -c 'listen_addresses=*'
