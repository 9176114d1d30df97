#!/bin/sh

# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

# deps.sh [--list] build|run|test
#
# Installs the Debian packages that building needs; "run": and those that
# "make run" needs; "test": and those of tests, lint, fuzzing and benchmarks.
# Where all of them are there it does nothing and needs no network.  Services
# that come with the packages are neither started nor enabled: the project
# starts private ones of its own.

set -eu
LC_ALL=C
export LC_ALL

build_packages="
    gcc libc6-dev make
    nginx-dev libhiredis-dev libpq-dev libyajl-dev libcurl4-openssl-dev
    libpcre2-dev libssl-dev libutf8proc-dev zlib1g-dev"

run_packages="
    $build_packages
    nginx redis-server postgresql-15 postgresql-15-postgis-3
    util-linux"

test_packages="
    $run_packages
    binutils valgrind libcmocka-dev clang libclang-rt-14-dev llvm
    ca-certificates
    python3 python3-pytest python3-pytest-xdist
    python3-psycopg2 python3-redis python3-requests python3-jsonschema
    libnginx-mod-nchan libnginx-mod-http-lua lua-nginx-redis wrk
    clang-format clang-tidy cppcheck shellcheck
    nbdkit libnbd-bin e2fsprogs mount libeatmydata1
    gdal-bin varnish varnish-modules"

services="nginx redis-server postgresql"

policy=/usr/sbin/policy-rc.d


main() {
    list=no

    if [ "${1-}" = --list ]; then
        list=yes
        shift
    fi

    case ${1-} in
    build) packages=$build_packages ;;
    run)   packages=$run_packages ;;
    test)  packages=$test_packages ;;
    *)     die "usage: deps.sh [--list] build|run|test" ;;
    esac

    if [ $list = yes ]; then
        for package in $packages; do
            echo "$package"
        done
        exit 0
    fi

    missing=$(missing_of "$packages")

    if [ -z "$missing" ]; then
        exit 0
    fi

    if ! command -v apt-get > /dev/null; then
        die "this is not Debian; install what these packages hold:" \
            "$missing"
    fi

    sudo=

    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo > /dev/null \
            || die "packages are missing: run, as root," \
                   "apt-get install --no-install-recommends $missing"
        sudo=sudo
    fi

    echo "installing Debian packages: $missing"
    install_packages

    missing=$(missing_of "$packages")

    if [ -n "$missing" ]; then
        die "still not installed: $missing"
    fi
}


missing_of() {
    out=

    for package in $1; do
        status=$(dpkg-query -W -f '${db:Status-Status}\n' "$package" \
                 2> /dev/null | head -n 1) || status=

        if [ "$status" != installed ]; then
            out="$out$package "
        fi
    done

    echo "${out% }"
}


# Only services that are not here yet are held back; what the machine already
# runs is left to its owner.

install_packages() {
    new=
    for service in $services; do
        [ -e "/etc/init.d/$service" ] || new="$new $service"
    done

    saved=

    if [ -n "$new" ]; then
        trap restore_policy EXIT
        trap 'exit 1' HUP INT TERM

        if [ -e $policy ] || [ -L $policy ]; then
            saved=$policy.scc-saved
            $sudo mv -f $policy $saved
        fi

        policy_written=yes
        policy_text | $sudo tee $policy > /dev/null
        $sudo chmod 755 $policy
    fi

    apt update
    # shellcheck disable=SC2086 # a list
    apt install -y --no-install-recommends $missing

    for service in $new; do
        if [ -e "/etc/init.d/$service" ]; then
            $sudo update-rc.d "$service" disable > /dev/null 2>&1 || :
            echo "the service $service is installed," \
                 "not started and not enabled"
        fi
    done

    restore_policy
    trap - EXIT HUP INT TERM
}


policy_text() {
    cat << END
#!/bin/sh
# temporary, by ngx_scc_module's deps.sh: new services are not started
case " $new " in *" \$1 "*) exit 101 ;; esac
END

    if [ -n "$saved" ]; then
        echo "exec $saved \"\$@\""
    else
        echo "exit 0"
    fi
}


restore_policy() {
    [ "${policy_written-no}" = yes ] || return 0
    policy_written=no

    $sudo rm -f $policy
    [ -z "$saved" ] || $sudo mv -f "$saved" $policy
}


apt() {
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q \
        -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 "$@"
}


die() {
    echo "deps.sh: $*" >&2
    exit 1
}


main "$@"
