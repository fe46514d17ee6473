#!/bin/sh
# Prints the Python to build with, or one line on stderr that says what this machine lacks, and fails.
# Looks at exactly what the build will use; changes nothing.

lacks() {
    echo "make: $1" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

python=
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if new_enough "$candidate"; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] ||
    lacks "needs Python 3.11 or newer${PYTHON:+; $PYTHON is not}: install it, or name one with 'make PYTHON=/path/to/python3.12'"

"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    lacks "$python has no venv module: install it (Debian: apt-get install python3-venv)"

compiler=$("$python" -c 'import os, sysconfig; print((os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0])')
command -v "$compiler" >/dev/null 2>&1 ||
    lacks "no C compiler ($compiler): install one (Debian: apt-get install gcc), or name yours with CC=…"

header=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h
[ -f "$header" ] ||
    lacks "$python has no C headers ($header): install them (Debian: apt-get install python3-dev)"

command -v git >/dev/null 2>&1 ||
    lacks "no git, whose histories are read here: install it (Debian: apt-get install git)"

echo "$python"
