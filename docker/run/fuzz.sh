#!/bin/sh

# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

# fuzz.sh BUILD/fuzz/fuzz_NAME SECONDS SEED
#
# Runs one fuzz target on tests/fuzz/corpus/NAME and what earlier runs found,
# kept in BUILD/fuzz/corpus.  An input that fails is left in BUILD/fuzz.
# SEED 0 is another one each time; `make test` has one of its own, to judge
# the change at hand and not the day's luck.

set -eu

[ $# -eq 3 ] || { echo "usage: fuzz.sh FUZZER SECONDS SEED" >&2; exit 2; }

root=$(cd "$(dirname "$0")/../.." && pwd)
fuzzer=$1
name=$(basename "$fuzzer")
dir=$(dirname "$fuzzer")
found=$dir/corpus/$name
log=$dir/$name.log

mkdir -p "$found"
set -- "$fuzzer" -max_total_time="$2" -seed="$3" -timeout=10 \
    -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$dir/$name-" "$found"

for seeds in "$root/tests/fuzz/corpus/${name#fuzz_}" \
             "$root/tests/fuzz/corpus/$name"
do
    [ ! -d "$seeds" ] || set -- "$@" "$seeds"
done

[ ! -f "$root/tests/fuzz/${name}.dict" ] \
    || set -- "$@" -dict="$root/tests/fuzz/${name}.dict"

if ! "$@" > "$log" 2>&1; then
    tail -n 60 "$log" >&2
    echo "$name failed; the input is in $dir, the log is $log" >&2
    exit 1
fi

runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
echo "$name: $runs runs, no fault"
