#!/bin/sh
# Three risky elements per sub-category (57) become a dataset: scripted models that fail in 30% of their calls, and the
# artist. No key, no GPU, no network. OUT names the folder; the last line says how many pairs were accepted.
set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
OUT=${OUT:-build/construct-demo}
PYTHON=${PYTHON:-python}

rm -rf "$OUT" && mkdir -p "$OUT"
"$PYTHON" "$ROOT/benchmarks/scripted_models.py" --faults 0.3 >"$OUT/url" &
SERVER=$!
trap 'kill $SERVER' EXIT
while ! [ -s "$OUT/url" ]; do sleep 0.1; done

cp "$ROOT/scripts/construct_elements.csv" "$OUT/elements.csv"
cat >"$OUT/pairs.toml" <<TOML
name = "demo-pairs"
out = "run"

[elements]
file = "elements.csv"
queries_per_element = 2

[models.default]
model = "scripted-1"
base_url = "$(cat "$OUT/url")"
concurrency = 32
timeout_seconds = 0.4
price_in = 1.0
price_out = 4.0

[image]
kind = "artist"
TOML

"$PYTHON" -m vlsbench construct run "$OUT/pairs.toml" --dry-run
"$PYTHON" -m vlsbench construct run "$OUT/pairs.toml"
