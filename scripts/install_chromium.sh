#!/bin/sh
# The browser tests use Debian's Chromium. Root on a Debian machine gets it by apt; elsewhere they skip and say why.
if command -v chromium >/dev/null 2>&1 || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    exit 0
fi
echo "installing Chromium for the browser tests" >&2
(apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium) >/dev/null 2>&1 \
    || echo "Chromium could not be installed; the browser tests will skip" >&2
