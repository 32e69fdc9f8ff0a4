#!/bin/sh
# Installs what the Makefile's targets need: install.sh GROUP..., after it has listed what is missing. Prints nothing
# if nothing is missing. With NO_INSTALL=1 it fails with the list and installs nothing.
#
# Groups: rust, e2e, demo, package, image, dist, count, bench.
set -eu
cd "$(dirname "$0")/.."

venv=target/venv
toolchain= targets= debian= optional= npm= pip= new_venv=

# program NAME PACKAGE: Debian's PACKAGE, unless the program exists.
program() {
    command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || debian="$debian $2"
}

# python FILE: the packages that a requirements file pins, unless this version of the file has been installed.
python() {
    cmp -s "$1" "$venv/installed/$1" || case " $pip " in
        *" $1 "*) ;;
        *) pip="$pip $1" ;;
    esac
    if [ ! -x "$venv/bin/python" ]; then
        new_venv=yes
        python3 -c 'import ensurepip, venv' 2>/dev/null || case $debian in
            *python3-venv*) ;;
            *) debian="$debian python3-venv" ;;
        esac
    fi
}

# node FOLDER: the packages of its lock file, unless npm has installed exactly these.
node() {
    cmp -s "$1/package-lock.json" "$1/node_modules/.installed-lock.json" || npm="$npm $1"
}

# The toolchain of rust-toolchain.toml with its targets. Without rustup, cargo is taken as it is.
rust() {
    command -v rustup >/dev/null || return 0
    version=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
    if rustup toolchain list | grep -q "^$version"; then
        installed=$(rustup target list --installed --toolchain "$version")
        targets=
        for target in $(sed -n 's/^targets = \[\(.*\)\]/\1/p' rust-toolchain.toml | tr -d '",'); do
            echo "$installed" | grep -qx "$target" || targets="$targets $target"
        done
    else
        # rustup installs the targets with it.
        toolchain=$version
    fi
}

dist() {
    rust
    python packaging/requirements.txt
}

for group; do
    case $group in
        rust) rust ;;
        demo) node tests/e2e ;;
        e2e) program chromium chromium; node tests/e2e; python tests/e2e/requirements.txt ;;
        package)
            python tests/package/requirements.txt
            command -v apparmor_parser >/dev/null || [ -x /usr/sbin/apparmor_parser ] || optional=apparmor ;;
        image)
            program buildah buildah; program podman podman; program runc runc
            program qemu-aarch64-static qemu-user-static ;;
        dist) dist ;;
        count) dist; program valgrind valgrind ;;
        bench) node benches/peers/socketio-node ;;
        *) echo "install.sh: unknown group $group" >&2; exit 2 ;;
    esac
done

missing() {
    [ -z "$toolchain" ] || echo "  Rust $toolchain, by rustup"
    [ -z "$targets" ] || echo "  Rust targets, by rustup:$targets"
    [ -z "$debian" ] || echo "  Debian packages:$debian"
    [ -z "$optional" ] || echo "  Debian package, to check the AppArmor profile's syntax (optional): $optional"
    [ -z "$new_venv" ] || echo "  a Python environment in $venv"
    for file in $pip; do
        echo "  Python packages of $file, into $venv"
    done
    for folder in $npm; do
        echo "  npm packages of $folder/package-lock.json, into $folder/node_modules"
    done
}

if [ -n "${NO_INSTALL:-}" ]; then
    if [ -n "$toolchain$targets$debian$pip$npm" ]; then
        echo "NO_INSTALL is set, and this is missing:" >&2
        missing >&2
        exit 1
    fi
    exit 0
fi
[ -z "$toolchain$targets$debian$optional$pip$npm" ] || echo "Installing what is missing (NO_INSTALL=1 only lists it):"
missing

# apt PACKAGE...: installs Debian packages.
apt() {
    if ! command -v apt-get >/dev/null; then
        echo "there is no apt-get here: install by your system's means: $*" >&2
        return 1
    fi
    if [ "$(id -u)" = 0 ]; then
        apt-get update -qq && apt-get install -y --no-install-recommends "$@"
    else
        sudo apt-get update -qq && sudo apt-get install -y --no-install-recommends "$@"
    fi
}

[ -z "$toolchain" ] || rustup toolchain install "$toolchain"
# shellcheck disable=SC2086 # The lists are words.
[ -z "$targets" ] || rustup target add --toolchain "$version" $targets
# shellcheck disable=SC2086
[ -z "$debian" ] || apt $debian
[ -z "$optional" ] || apt "$optional" || echo "$optional cannot be installed: the profile's syntax is not checked" >&2
[ -z "$new_venv" ] || python3 -m venv "$venv"
for file in $pip; do
    "$venv/bin/python" -m pip install --quiet -r "$file"
    mkdir -p "$venv/installed/$(dirname "$file")"
    cp "$file" "$venv/installed/$file"
done
for folder in $npm; do
    (cd "$folder" && npm ci --no-audit --no-fund)
    cp "$folder/package-lock.json" "$folder/node_modules/.installed-lock.json"
done
