#!/bin/sh
# Write the locks of both images anew, with PyPI's names and digests alone: `make lock`. Needs uv and the network.
# Afterwards: read the difference, `make audit`, run the tests, commit.
set -eu
cd "$(dirname "$0")/.."
lock() {
    name=$1
    shift
    {
        echo "# Every package of the $name image with the digests of its files; deploy/lock.sh writes it."
        uv pip compile pyproject.toml "$@" --constraint constraints.txt --default-index https://pypi.org/simple \
            --python-version 3.12 --python-platform x86_64-manylinux_2_28 --upgrade --quiet \
            --generate-hashes --no-header --no-annotate --no-emit-index-url
    } >"deploy/$name.lock.new"
    mv "deploy/$name.lock.new" "deploy/$name.lock"
}
lock web --extra prod --extra report --extra sentry
lock gpu --extra prod --extra report --extra sentry --extra torch
