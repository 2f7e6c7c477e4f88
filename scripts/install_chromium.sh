#!/bin/sh
# The browser tests use Debian's headless Chromium, or the whole one. Root on a Debian machine gets it by apt; elsewhere
# they skip and say why.
if command -v chromium-headless-shell >/dev/null 2>&1 || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    exit 0
fi
echo "installing Chromium for the browser tests" >&2
get() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1"; }
(apt-get update -qq; get chromium-headless-shell || command -v chromium || get chromium) >/dev/null 2>&1 \
    || echo "Chromium could not be installed; the browser tests will skip" >&2
