#!/bin/sh
# Fetches the texts of benchmarks/smollm2.py from Debian into the folder $1; nothing is installed.
set -eu
folder=$1
mkdir -p "$folder"
chmod 777 "$folder"  # apt drops its rights to the user _apt
cd "$folder"
for package in debian-policy debian-reference-en fortunes; do
  [ -e "$package.done" ] && continue
  apt-get -qq download "$package" || {
    echo "'$package' cannot be fetched with apt-get (Debian, Ubuntu); unpack that package into $folder by hand" >&2
    exit 1
  }
  dpkg-deb -x "$package"_*.deb .
  rm "$package"_*.deb
  touch "$package.done"
done
