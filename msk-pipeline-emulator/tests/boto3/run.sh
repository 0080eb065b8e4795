#!/bin/sh
# Drives the embedded AWS with boto3, the second opinion on its wire protocols. Not part of `cargo test`: it needs Python 3 and PyPI.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${MSKP_BOTO3_VENV:-"${TMPDIR:-/tmp}/msk-pipeline-boto3"}
[ -x "$cache/bin/python" ] || python3 -m venv "$cache"
"$cache/bin/python" -c 'import boto3' 2>/dev/null || "$cache/bin/pip" install --quiet boto3
cargo build --quiet --manifest-path "$here/../../Cargo.toml" --examples
built="${CARGO_TARGET_DIR:-$here/../../../target}/debug/examples"
"$cache/bin/python" "$here/codec.py" "$built/codec"
"$cache/bin/python" "$here/drive.py" "$built/serve" 0
# The same with a world in a file.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$cache/bin/python" "$here/drive.py" "$built/serve" 0 "$folder/world"
