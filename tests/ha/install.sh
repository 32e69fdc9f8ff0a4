#!/bin/sh
# Installs Home Assistant Core into target/ha, in the newest version that a Python of this machine supports.
# Each requirements-VERSION.txt pins Core for that Python, with all dependencies.
set -eu
cd "$(dirname "$0")"
venv=../../target/ha

python_for() {
    for python in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
        if "$python" -c "import sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    return 1
}

for version in 3.14 3.13; do
    python=$(python_for "$version") || continue
    if ! cmp -s "requirements-$version.txt" "$venv/installed.txt" || [ ! -d node_modules/ws ]; then
        echo "Installing Home Assistant Core (Python packages of tests/ha/requirements-$version.txt, into target/ha)"
        echo "and npm packages of tests/ha/package-lock.json (NO_INSTALL=1 only says so)."
        [ -z "${NO_INSTALL:-}" ] || exit 1
    fi
    if ! cmp -s "requirements-$version.txt" "$venv/installed.txt"; then
        rm -rf "$venv"
        "$python" -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet -r "requirements-$version.txt"
        cp "requirements-$version.txt" "$venv/installed.txt"
    fi
    [ -n "${NO_INSTALL:-}" ] || npm ci --silent --no-audit --no-fund
    exit
done
echo "make test-ha needs Python 3.14 or 3.13 (a package of your system, pyenv, or uv python install 3.14)" >&2
exit 1
