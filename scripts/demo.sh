#!/bin/sh
# `make demo`: the whole product on real files, without a key, a GPU or a network.
set -eu
STORE=build/demo
PORT=${PORT:-7860}

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

rm -rf "$STORE" && mkdir -p "$STORE"
cp -r submissions/paper "$STORE/paper"
python scripts/make_examples.py --unjudged "$STORE/examples"

say "The dataset: load_dataset(\"vlsbench\")"
python scripts/show_dataset.py

for name in always-refuses always-warns always-answers mixed; do
    say "vlsbench check, judge, score: $name"
    vlsbench check "$STORE/examples/$name"
    vlsbench judge "$STORE/examples/$name" --judge offline
    vlsbench score "$STORE/examples/$name"
done

say "vlsbench board"
vlsbench board --store "$STORE"

if [ "${SERVE:-1}" = 0 ]; then
    say "Done. \`make demo\` without SERVE=0 goes on to serve this board in a browser."
    exit 0
fi
say "vlsbench serve: http://127.0.0.1:$PORT (Ctrl-C stops)"
exec vlsbench serve --store "$STORE" --port "$PORT"
