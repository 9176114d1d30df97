#!/bin/bash

# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

# run.sh foreground|up|down
#
# The demonstration: a private PostgreSQL, two private Redis servers and
# nginx with the module, on unix sockets and one loopback port, all of it in
# RUN_DIR.  Usually called by make; takes from the environment:
#
#   RUN_DIR     where everything lives                       (run)
#   PORT        of nginx, on 127.0.0.1                       (8080)
#   SAMPLE      files to import once, separated by blanks    (docker/sample)
#   SCC_BUILD, SCC_NGINX, SCC_MODULE    what is run
#
# As root, PostgreSQL, Redis and nginx's workers run as the user "postgres".
# Servers are children of this script and end with it, however it ends.

set -eu -o pipefail

# a shell without job control starts background commands with SIGINT ignored,
# and bash cannot trap what was ignored when it started
if [ -z "${SCC_RUN_SIGNALS-}" ]; then
    SCC_RUN_SIGNALS=reset exec env --default-signal=INT,TERM "$0" "$@"
fi

export LC_ALL=C.UTF-8
umask 022

here=$(cd "$(dirname "$0")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)

run_dir=${RUN_DIR:-run}
port=${PORT:-8080}
build=${SCC_BUILD:-$root/build}
nginx=${SCC_NGINX:-/usr/sbin/nginx}
module=${SCC_MODULE:-$build/nginx-debian/ngx_scc_module.so}
sccctl=$build/sccctl

user=$(id -un)
started=()              # names of servers, in the order of starting
declare -A pids=()
stopping=
step=


main() {
    case ${1-} in
    foreground) prepare; foreground ;;
    up)         up ;;
    down)       down ;;
    *)          die "usage: run.sh foreground|up|down" ;;
    esac
}


foreground() {
    hold_lock
    trap on_signal INT TERM HUP
    trap on_exit EXIT

    check_port
    await_leftovers

    start_postgres
    start_redis cache
    start_redis queue
    write_env
    prepare_store
    start_nginx
    say_what_is_lost

    : > "$dir/ready"
    echo "ready http://127.0.0.1:$port/"

    supervise
}


up() {
    prepare
    if ! lock_free; then
        die "already running in $dir (pid $(cat "$dir/run.pid"));" \
            "stop it with make down"
    fi

    rm -f "$dir/ready"
    RUN_DIR=$dir setsid "$0" foreground \
        > "$dir/log/run.log" 2>&1 < /dev/null &
    supervisor=$!
    trap 'kill -TERM $supervisor 2> /dev/null; exit 1' INT TERM HUP

    while [ ! -e "$dir/ready" ]; do
        if ! kill -0 $supervisor 2> /dev/null; then
            cat "$dir/log/run.log" >&2
            exit 1
        fi
        sleep 0.1
    done

    cat "$dir/log/run.log"
}


down() {
    find_run_dir

    if [ ! -e "$dir/lock" ] || lock_free; then
        echo "nothing runs in $dir"
        return
    fi

    supervisor=$(cat "$dir/run.pid")
    kill -TERM "$supervisor"

    for ((i = 0; i < 600; i++)); do
        if lock_free; then
            echo "stopped"
            return
        fi
        sleep 0.1
    done

    die "pid $supervisor has not stopped within 60 s; its log is in $dir/log"
}


# -- the directory -----------------------------------------------------------


find_run_dir() {
    case $run_dir in
    *[[:space:]]* | *[\'\"\\\$\;{}#,]*)
        die "RUN_DIR is \"$run_dir\": blanks, quotes and any of \\ \$ ; { }" \
            "# , cannot be used in it" ;;
    esac

    dir=$run_dir
    if [ -d "$dir" ]; then
        dir=$(cd "$dir" && pwd -P)
    fi
}


prepare() {
    case $port in
    '' | *[!0-9]* | ??????*) port=0 ;;
    esac
    if [ "$port" -lt 1 ] || [ "$port" -gt 65535 ]; then
        die "PORT is \"${PORT-}\": it must be a number from 1 to 65535"
    fi

    for file in "$nginx" "$module" "$sccctl"; do
        [ -e "$file" ] || die "$file is not there: run make first"
    done

    find_postgres

    if [ "$user" = root ]; then
        user=postgres
        id $user > /dev/null 2>&1 \
            || die "the user postgres does not exist: run make deps"
    fi

    find_run_dir
    mkdir -p "$dir" || die "RUN_DIR $dir cannot be made"
    dir=$(cd "$dir" && pwd -P)
    make_reachable

    # logs and what is rendered belong to the caller, data to the servers
    mkdir -p "$dir"/{log,conf,nginx/html,nginx/tmp}

    for name in cache queue state journal; do
        owned "$dir/$name"
    done

    if [ -e "$dir/pg" ]; then
        [ "$(stat -c %U "$dir/pg")" = "$user" ] \
            || die "$dir belongs to a run as the user" \
                   "$(stat -c %U "$dir/pg"), this one is $user: set RUN_DIR"
        chmod 700 "$dir/pg"
    fi

    make_sock

    declare -gA log=(
        [postgres]="$dir/log/postgres.log" [cache]="$dir/log/cache.log"
        [queue]="$dir/log/queue.log" [nginx]="$dir/log/nginx-error.log"
    )
}


# The servers' user must be able to enter the directory.

make_reachable() {
    local apart

    if as_user test -x "$dir"; then
        return
    fi

    # the directory itself may be private, as mktemp makes it
    chgrp "$(id -gn "$user")" "$dir"
    chmod g+rx "$dir"

    if as_user test -x "$dir"; then
        return
    fi

    if [ "${SCC_RUN_DEFAULT-}" != yes ] || [ -n "$(ls -A "$dir")" ]; then
        die "the servers run as the user $user, who cannot enter $dir:" \
            "set RUN_DIR to a directory outside of private ones," \
            "such as RUN_DIR=/var/tmp/scc-run"
    fi

    # a checkout in /root: keep the default's promise through a link
    apart=/var/tmp/ngx_scc_module-run-$(printf %s "$root" | cksum \
                                        | cut -d ' ' -f 1)
    if ! mkdir -m 755 "$apart" 2> /dev/null; then
        if [ ! -d "$apart" ] || [ -L "$apart" ] || [ ! -O "$apart" ]; then
            die "$apart is in the way: set RUN_DIR"
        fi
    fi

    rmdir "$dir"
    ln -s "$apart" "$dir"
    echo "note: the user $user cannot enter $dir;" \
         "it is now a link to $apart"
    dir=$apart
}


owned() {
    mkdir -p "$1"
    chmod 700 "$1"
    if [ "$(id -u)" -eq 0 ]; then
        chown "$user:" "$1"
    fi
}


# A unix socket's path has at most 107 bytes; where RUN_DIR is too long,
# RUN_DIR/sock is a link to a short directory.

make_sock() {
    local name=.s.PGSQL.5432

    sock=$dir/sock

    if [ $((${#sock} + 1 + ${#name})) -le 107 ]; then
        owned "$sock"
        return
    fi

    if [ ! -d "$sock/" ] || [ "$(stat -L -c %U "$sock/")" != "$user" ]; then
        rm -f "$sock"
        ln -s "$(mktemp -d /tmp/scc-XXXXXX)" "$sock"
    fi

    sock=$(readlink "$sock")
    owned "$sock"
}


# -- one at a time -----------------------------------------------------------


lock_free() {
    flock -n "$dir/lock" true
}


hold_lock() {
    exec 9>> "$dir/lock"

    if ! flock -n 9; then
        die "already running in $dir (pid $(cat "$dir/run.pid"));" \
            "stop it there, or with make down"
    fi

    echo $$ > "$dir/run.pid"
    rm -f "$dir/ready"
}


check_port() {
    if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then
        die "port $port of 127.0.0.1 is taken by something else:" \
            "set PORT to a free one"
    fi
}


# After a SIGKILL of this script its children are still on their way out.

await_leftovers() {
    local pid name

    for name in nginx queue cache postgres; do
        [ -e "$dir/conf/$name.pid" ] || continue
        pid=$(cat "$dir/conf/$name.pid")

        for ((i = 0; i < 300; i++)); do
            is_ours "$pid" || continue 2
            sleep 0.1
        done

        die "$name of an earlier run (pid $pid) does not end; stop it by hand"
    done
}


is_ours() {
    local what

    what=$(tr '\0' ' ' 2> /dev/null < "/proc/$1/cmdline") || return 1
    case $what in
    *"$dir"/* | *"$sock"/*) return 0 ;;
    *) return 1 ;;
    esac
}


# -- servers -----------------------------------------------------------------


as_user() {
    if [ "$(id -un)" = "$user" ]; then
        "$@"
    else
        setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups \
            -- "$@"
    fi
}


# launch NAME SIGNAL COMMAND...: in a session of its own, so that Ctrl-C
# reaches this script only; SIGNAL is sent should this script vanish.

launch() {
    local name=$1 signal=$2
    shift 2

    local drop=()
    if [ "$(id -un)" != "$user" ] && [ "$name" != nginx ]; then
        drop=(--reuid="$user" --regid="$(id -g "$user")" --init-groups)
    fi

    (
        trap - INT TERM HUP EXIT
        cd "$dir"
        exec setsid setpriv --pdeathsig "$signal" ${drop[@]+"${drop[@]}"} \
            -- "$@"
    ) >> "${log[$name]}" 2>&1 < /dev/null 9>&- &

    pids[$name]=$!
    started+=("$name")
    echo $! > "$dir/conf/$name.pid"
}


# await NAME SECONDS COMMAND...: until it succeeds, or the server ends

await() {
    local name=$1 end=$((SECONDS + $2))
    shift 2

    until "$@" > /dev/null 2>&1; do
        check_signal
        if ! kill -0 "${pids[$name]}" 2> /dev/null; then
            show_log "$name"
            die "$name has not started; its log is ${log[$name]}"
        fi
        if [ $SECONDS -ge $end ]; then
            show_log "$name"
            die "$name does not answer; its log is ${log[$name]}"
        fi
        sleep 0.05
    done
}


find_postgres() {
    local path

    pg_bin=
    for path in /usr/lib/postgresql/*/bin; do
        [ -x "$path/postgres" ] && pg_bin=$path
    done

    [ -n "$pg_bin" ] || die "PostgreSQL is not installed: run make deps"
}


start_postgres() {
    if [ ! -e "$dir/pg/PG_VERSION" ]; then
        echo "creating PostgreSQL's data directory"
        rm -rf "$dir/pg.new"
        owned "$dir/pg.new"

        # "trust" is safe here and only here: the one way in is a socket in
        # a directory of mode 0700
        (cd "$dir" && as_user "$pg_bin/initdb" -D "$dir/pg.new" \
            -U postgres -A trust -E UTF8 --locale=C.UTF-8 --data-checksums) \
            > "$dir/log/initdb.log" 2>&1 \
            || die "initdb failed; its log is $dir/log/initdb.log"
        check_signal
        mv "$dir/pg.new" "$dir/pg"
    fi

    if [ "$(cat "$dir/pg/PG_VERSION")" != "$(basename "${pg_bin%/bin}")" ]
    then
        die "$dir/pg was made by PostgreSQL $(cat "$dir/pg/PG_VERSION")," \
            "installed is $pg_bin: set RUN_DIR to another directory"
    fi

    render postgresql.conf
    launch postgres INT "$pg_bin/postgres" -D "$dir/pg" \
        -c "config_file=$dir/conf/postgresql.conf"
    await postgres 120 "$pg_bin/pg_isready" -q -h "$sock" -U postgres \
        -d postgres
}


start_redis() {
    render "redis-$1.conf"
    launch "$1" TERM redis-server "$dir/conf/redis-$1.conf"
    await "$1" 120 redis_answers "$1"
}


redis_answers() {
    [ "$(redis-cli -s "$sock/$1.sock" ping)" = PONG ]
}


start_nginx() {
    cp -r "$here/html/." "$dir/nginx/html"
    render nginx.conf
    launch nginx QUIT "$nginx" -p "$dir/nginx" -c "$dir/conf/nginx.conf" \
        -e "${log[nginx]}"
    await nginx 60 map_answers
}


# nginx's log says it, and no answer claims more; people look here.

say_what_is_lost() {
    local fs

    fs=$(stat -f -c %T "$dir/journal")

    case $fs in
    overlayfs | tmpfs | ramfs)
        echo "note: $dir is on $fs, NOT DURABLE: what is contributed goes" \
            "with the container or the memory that holds it" ;;
    esac
}


# The map's answer, 200, for the middle of Seoul.

map_answers() {
    local status

    exec 8<> "/dev/tcp/127.0.0.1/$port" || return 1
    printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' \
        '/v1/places?bbox=126.97,37.55,126.98,37.56&limit=1' >&8
    IFS=' ' read -r -t 5 _ status _ <&8 || status=
    exec 8>&-
    [ "$status" = 200 ]
}


render() {
    local user_line=

    if [ "$(id -u)" -eq 0 ]; then
        user_line="user $user $(id -gn "$user");"
    fi

    sed -e "s|@RUN@|$dir|g" -e "s|@SOCK@|$sock|g" -e "s|@PORT@|$port|g" \
        -e "s|@MODULE@|$module|g" -e "s|@USER_LINE@|$user_line|g" \
        "$here/$1.in" > "$dir/conf/$1"
}


# -- the store ---------------------------------------------------------------


write_env() {
    cat > "$dir/env" << END
export SCC_PG="host=$sock user=postgres dbname=scc"
export SCC_CACHE="unix:$sock/cache.sock"
export SCC_QUEUE="unix:$sock/queue.sock"
export SCC_JOURNAL="$dir/journal"
export SCC_URL="http://127.0.0.1:$port/v1/"
END
    # shellcheck source=/dev/null
    . "$dir/env"
}


prepare_store() {
    local files key

    if ! "$pg_bin/psql" -X -h "$sock" -U postgres -d scc -c 'SELECT 1' \
        > /dev/null 2>&1
    then
        "$pg_bin/createdb" -h "$sock" -U postgres -T template0 -E UTF8 \
            --locale=C.UTF-8 scc \
            || die "the database scc cannot be created"
    fi

    do_step "$sccctl" init || die "sccctl init failed"
    do_step "$sccctl" journal init "$dir/journal" \
        || die "sccctl journal init failed"
    if [ "$(id -u)" -eq 0 ]; then
        chown -R "$user:" "$dir/journal"
    fi

    if [ -n "${SAMPLE-}" ]; then
        # shellcheck disable=SC2206 # separated by blanks
        files=($SAMPLE)
    else
        files=("$root/docker/sample/osm_accessibility_A.geojson"
               "$root/docker/sample/osm_pois_A.csv")

        if [ ! -e "$dir/sample.csv" ]; then
            do_step "$sccctl" sample --places 50000 --seed 1 \
                > "$dir/sample.new" || die "sccctl sample failed"
            mv "$dir/sample.new" "$dir/sample.csv"
        fi

        files+=("$dir/sample.csv")
    fi

    for file in "${files[@]}"; do
        [ -r "$file" ] || die "SAMPLE: $file cannot be read"
    done

    # an import is idempotent: the marker saves time, nothing else
    key=$(stat -L -c '%n %s %Y' "${files[@]}")

    if [ "$key" = "$(cat "$dir/imported" 2> /dev/null)" ]; then
        return
    fi

    for file in "${files[@]}"; do
        local status=0 rejects
        rejects=$dir/log/rejects-$(basename "$file").csv
        rm -f "$rejects"

        echo "importing $file"
        do_step "$sccctl" import --rejects "$rejects" "$file" || status=$?
        check_signal

        case $status in
        0) ;;
        3) echo "some rows were rejected: see $rejects" ;;
        *) die "sccctl import $file failed" ;;
        esac
    done

    printf '%s\n' "$key" > "$dir/imported"
}


# A long command, in the background so that a signal is seen at once.

do_step() {
    local status=0

    "$@" 9>&- &
    step=$!
    wait $step || status=$?
    step=

    return $status
}


# -- the end -----------------------------------------------------------------


supervise() {
    local gone status name

    while [ -z "$stopping" ]; do
        for name in "${started[@]}"; do
            gone=${pids[$name]}

            if ! kill -0 "$gone" 2> /dev/null; then
                status=0
                wait "$gone" || status=$?
                unset "pids[$name]"
                kill -TERM -- "-$gone" 2> /dev/null || :    # its workers
                show_log "$name"
                die "$name (pid $gone) has ended by itself with status" \
                    "$status; the rest is stopped too"
            fi
        done

        wait -n "${pids[@]}" || :
    done
}


on_signal() {
    stopping=yes
    if [ -n "$step" ]; then
        kill -TERM "$step" 2> /dev/null || :
    fi
}


check_signal() {
    if [ -n "$stopping" ]; then
        exit 0
    fi
}


on_exit() {
    local status=$? i name

    trap '' INT TERM HUP
    set +e

    if [ ${#started[@]} -gt 0 ]; then
        echo "stopping"
    fi

    for ((i = ${#started[@]} - 1; i >= 0; i--)); do
        name=${started[i]}
        [ -n "${pids[$name]-}" ] || continue

        case $name in
        nginx)    stop "$name" QUIT 10 || stop "$name" TERM 5 ;;
        postgres) stop "$name" INT 60 ;;
        *)        stop "$name" TERM 30 ;;
        esac || stop "$name" KILL 10

        rm -f "$dir/conf/$name.pid"
    done

    rm -f "$dir/ready" "$dir/run.pid"

    if [ -n "$stopping" ]; then
        status=0
    fi

    exit $status
}


stop() {
    local name=$1 signal=$2 limit=$(($3 * 20)) pid=${pids[$1]} i

    kill "-$signal" "$pid" 2> /dev/null

    for ((i = 0; i < limit; i++)); do
        kill -0 "$pid" 2> /dev/null || return 0
        sleep 0.05
    done

    echo "$name (pid $pid) has not stopped on SIG$signal"
    return 1
}


show_log() {
    echo "-- the end of ${log[$1]}" >&2
    tail -n 15 "${log[$1]}" >&2 || :
    echo "--" >&2
}


die() {
    echo "run.sh: $*" >&2
    exit 1
}


main "$@"
