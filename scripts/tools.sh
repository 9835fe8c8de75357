#!/bin/sh
# Finds OpenSTA (sta) and Icarus Verilog (iverilog), and with the word "test" the browser that tests of the report
# drive; installs what is missing where that is permitted.
set -eu

missing=""
[ -n "${STA:-}" ] || command -v sta >/dev/null 2>&1 || missing="$missing opensta"
[ -n "${IVERILOG:-}" ] || command -v iverilog >/dev/null 2>&1 || missing="$missing iverilog"
if [ "${1:-}" = test ]; then
  [ -n "${CHROMIUM:-}" ] || command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 ||
    command -v google-chrome >/dev/null 2>&1 || missing="$missing chromium fonts-dejavu-core"
  [ -n "${CHROMEDRIVER:-}" ] || command -v chromedriver >/dev/null 2>&1 || missing="$missing chromium-driver"
fi
[ -n "$missing" ] || exit 0

by_hand() {
  echo "Missing:$missing. $1" >&2
  echo "  Debian, Ubuntu  sudo apt-get install$missing" >&2
  echo "  Ubuntu          chromium and its driver are the snap chromium" >&2
  echo "  macOS           brew install icarus-verilog chromium chromedriver; OpenSTA from" \
    "https://github.com/parallaxsw/OpenSTA" >&2
  echo "  other Linux     iverilog from your distribution; OpenSTA comes with OpenROAD and LibreLane" >&2
  echo "Tools elsewhere are found through the variables STA, IVERILOG, CHROMIUM and CHROMEDRIVER." >&2
  exit 1
}

command -v apt-get >/dev/null 2>&1 || by_hand "There is no apt-get here to install it with."
if [ "$(id -u)" = 0 ]; then
  as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
  as_root="sudo -n"
else
  by_hand "Installing it needs root, and sudo is not there or asks for a password."
fi
echo "==> installing$missing with apt-get"
# A package list that cannot be brought up to date may still do.
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq || true
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
  by_hand "apt-get could not install it."
