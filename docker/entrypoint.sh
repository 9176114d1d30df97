#!/bin/sh

# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

# The image's entry point: puts the environment into nginx's configuration,
# then runs the command.
#
#   SCC_REDIS        the cache, as scc_redis takes it
#   SCC_POSTGRES     the store, as scc_postgres takes it
#   SCC_ATTRIBUTION  whose data it is, for tiles.json

set -eu

value() {
    # what sed and nginx's quotes would take for their own
    printf '%s' "$1" | sed -e 's/[\\"]/\\&/g' -e 's/[\\&|]/\\&/g'
}

if [ "${1-}" = nginx ]; then
    : "${SCC_REDIS:?is not set: the cache, such as 10.0.0.5:6379}"
    : "${SCC_POSTGRES:?is not set: the store, such as host=... dbname=scc}"

    sed -e "s|@SCC_REDIS@|$(value "$SCC_REDIS")|" \
        -e "s|@SCC_POSTGRES@|$(value "$SCC_POSTGRES")|" \
        -e "s|@SCC_ATTRIBUTION@|$(value "${SCC_ATTRIBUTION-}")|" \
        /etc/nginx/nginx.conf.template > /etc/nginx/nginx.conf

    nginx -t
fi

exec "$@"
