#!/bin/sh

# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

# nginx-source.sh DIR
#
# Puts the complete source of the installed Debian nginx into DIR/nginx, from
# the package archive this machine is configured for, checked by apt's
# signatures.  The system's own package lists are left alone.

set -eu
LC_ALL=C
export LC_ALL

[ $# -eq 1 ] || { echo "usage: nginx-source.sh DIR" >&2; exit 2; }

die() {
    echo "nginx-source.sh: $*" >&2
    exit 1
}

mkdir -p "$1"
dir=$(cd "$1" && pwd)
version=$(dpkg-query -W -f '${source:Version}' nginx 2> /dev/null) \
    || die "the package nginx is not installed: run make deps-test"

if [ -f "$dir/nginx/configure" ] \
   && [ "$(cat "$dir/version" 2> /dev/null)" = "$version" ]
then
    exit 0
fi

# shellcheck disable=SC2016 # apt expands them
sources() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' | sort -u
}

signed=
if [ -r /usr/share/keyrings/debian-archive-keyring.gpg ]; then
    signed='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] '
fi

rm -rf "$dir/nginx" "$dir/apt" "$dir/version"
mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"

sources | sed "s|^|deb-src $signed|" > "$dir/apt/sources.list"

[ -s "$dir/apt/sources.list" ] \
    || die "apt knows no Debian archive: run apt-get update, or give a" \
           "source tree with NGINX_SRC="

aptget() {
    apt-get -q -o Acquire::Retries=3 -o APT::Sandbox::User=root \
        -o Dir::Etc::SourceList="$dir/apt/sources.list" \
        -o Dir::Etc::SourceParts=- \
        -o Dir::State::Lists="$dir/apt/lists" \
        -o Dir::Cache="$dir/apt/cache" "$@"
}

aptget update || die "the Debian source lists cannot be read; with no" \
                     "network, give a source tree with NGINX_SRC="
cd "$dir"

# only the release that the package is made of: Debian's patches do not change
# what a module sees

aptget source --download-only --tar-only nginx="$version" \
    || die "Debian's nginx source cannot be fetched; give a source tree" \
           "with NGINX_SRC="

mkdir nginx
tar -x -f nginx_*.orig.tar.* -C nginx --strip-components=1 --no-same-owner
[ -f nginx/configure ] || die "the source package holds no nginx/configure"

rm -rf apt nginx_*
echo "$version" > version
