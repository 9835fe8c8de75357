#!/bin/sh
# Makes the virtual environment $1 if it is missing and installs the project, as $2 says, into it.
set -eu
venv=$1
what=$2
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
  echo "halo_timing needs Python 3.10 or newer, '$python' is not; name one: make PYTHON=python3.11 …" >&2
  exit 1
fi
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  rm -rf "$venv"
  if ! "$python" -m venv "$venv"; then
    rm -rf "$venv"
    echo "Python cannot make virtual environments here; on Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
  fi
fi
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e "$what"; then
  echo "The Python packages could not be installed; is the package index (PyPI) reachable?" >&2
  exit 1
fi
