#!/bin/sh

# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

# All static checks; "make lint" calls it.  Every check runs, each fault is
# printed, and the exit status is 1 if there was one.

set -eu

cd "$(dirname "$0")/../.."

build=${SCC_BUILD:-build}
python=${PYTHON:-/usr/bin/python3}
clang_tidy=${CLANG_TIDY:-clang-tidy}
export CLANG_FORMAT="${CLANG_FORMAT:-clang-format}"
export PYTHONDONTWRITEBYTECODE=1

faults=0

check() {
    echo "lint: $1"
    shift
    "$@" || faults=$((faults + 1))
}

files() {
    git ls-files -co --exclude-standard -- "$@"
}

# it counts on stderr the warnings that it then leaves out

tidy() {
    if ! said=$("$clang_tidy" --quiet "$@" 2>&1); then
        echo "$said"
        return 1
    fi
}

# shellcheck disable=SC2046 # lists of names without blanks
{
    check "lists in config" "$python" tests/lint/sources.py

    check "style" "$python" tests/lint/style.py config Makefile \
        $(files '*.c' '*.h' '*.sh' '*.py' '*.sql' '*.md' .ci/run)

    check "clang-format" "$python" tests/lint/format.py \
        $(files '*.c' '*.h')

    check "shellcheck" shellcheck $(files '*.sh' .ci/run)

    check "python syntax" "$python" -c '
import ast, sys
for name in sys.argv[1:]:
    ast.parse(open(name, encoding="utf-8").read(), name)
' $(files '*.py')

    check "cppcheck" cppcheck --quiet --std=c11 --error-exitcode=1 \
        --inline-suppr --enable=warning,performance,portability \
        --suppress=missingIncludeSystem --suppress=ctuuninitvar \
        -Ingx_scc_module/core -Ingx_scc_module/ctl \
        -Ingx_scc_module/queue $(files 'ngx_scc_module/core/*.c' \
        'ngx_scc_module/ctl/*.c')

    check "cppcheck, the nginx side" cppcheck --quiet --std=c11 \
        --error-exitcode=1 --inline-suppr --enable=warning,portability \
        --suppress=missingIncludeSystem $(files 'ngx_scc_module/net/*.c' \
        'ngx_scc_module/cache/*.c' 'ngx_scc_module/store/*.c' \
        'ngx_scc_module/queue/*.c' 'ngx_scc_module/apply/*.c' \
        'ngx_scc_module/http/*.c')

    check "clang-tidy" tidy \
        $(files 'ngx_scc_module/core/*.c' 'ngx_scc_module/ctl/*.c') -- \
        -std=c11 -D_GNU_SOURCE -Ingx_scc_module/core -Ingx_scc_module/ctl \
        -Ingx_scc_module/queue -I"$(pg_config --includedir)"
}

if [ -f "$build/core/libscc.a" ]; then
    check "what core calls" "$python" tests/lint/calls.py \
        "$build/core/libscc.a"
fi

if [ $faults -ne 0 ]; then
    echo "lint: $faults checks failed" >&2
    exit 1
fi

echo "lint: clean"
