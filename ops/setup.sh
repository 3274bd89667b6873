# shellcheck shell=bash
# Creates .venv in the checkout from a lock file; ops/demo, ops/test and other scripts source this.
# The file .venv/installed-<lock> is written last. It holds a checksum of what .venv was made from;
# while the checksum still matches, set-up does nothing.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Another active virtual environment, or modules on PYTHONPATH, must not affect this one.
unset VIRTUAL_ENV PYTHONHOME PYTHONPATH
# Without compiled bytecode every process would take twice as long to start.
unset PYTHONDONTWRITEBYTECODE
readonly VENV_PYTHON=.venv/bin/python

fail() {
    printf 'playalter: %s\n' "$*" >&2
    exit 1
}

# setup LOCK: install everything that LOCK lists, and the project itself, into .venv.
setup() {
    local lock=$1 begin=$SECONDS
    require_place
    is_installed "$lock" && return
    require_disk 1024
    mkdir -p .venv
    exec 9>.venv/.setup
    if command -v flock >/dev/null; then
        flock 9
    fi
    # Another set-up may have finished while this one waited for the lock.
    if ! is_installed "$lock"; then
        printf 'Setting up .venv from %s ...\n' "$lock"
        make_venv
        install_lock "$lock"
        state_of "$lock" >".venv/installed-$lock"
        printf 'Set up in %s s\n' $((SECONDS - begin))
    fi
    exec 9>&-
}

require_place() {
    [ "$(uname -s)" = Linux ] || fail "the laptop profile runs on Linux; this is $(uname -s)"
    if [ ! -w . ] || { [ -e .venv ] && [ ! -w .venv ]; }; then
        fail "the folder $PWD cannot be written by user $(id -un)"
    fi
    require_disk 200
}

require_disk() {
    local free
    free=$(df -Pm . | awk 'NR == 2 {print $4}')
    [ "$free" -ge "$1" ] || fail "only $free MB of disk are free in $PWD; $1 MB are needed"
}

state_of() {
    cat "$1" setup.cfg pyproject.toml | sha256sum | cut -d ' ' -f 1
    pwd
}

is_installed() {
    local file
    for file in ".venv/installed-$1" .venv/installed-requirements-dev.lock; do
        # The development lock includes all that the demo needs.
        if [ -x "$VENV_PYTHON" ] && [ -f "$file" ] &&
            [ "$(cat "$file")" = "$(state_of "${file#.venv/installed-}")" ]; then
            return 0
        fi
    done
    return 1
}

make_venv() {
    # Make it anew if it was moved here, since its scripts still point to the old place, or if it is
    # incomplete: then it has no pip.
    if [ -x "$VENV_PYTHON" ] && ! was_moved && "$VENV_PYTHON" -m pip --version >/dev/null 2>&1; then
        return
    fi
    local python
    python=$(find_python)
    require_venv "$python"
    "$python" -m venv --clear .venv || fail "$python could not make .venv in $PWD"
}

require_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$1 has no venv module (on Debian and Ubuntu: apt-get install python3-venv)"
}

was_moved() {
    local file
    for file in .venv/installed-*; do
        [ -f "$file" ] && [ "$(sed -n 2p "$file")" != "$PWD" ] && return 0
    done
    return 1
}

# Prints the first Python of version 3.11 to 3.13 that is found; PYTHON names the only candidate.
find_python() {
    local name version found=()
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
        command -v "$name" >/dev/null || continue
        version=$("$name" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || continue
        case $version in
        3.11.* | 3.12.* | 3.13.*)
            command -v "$name"
            return
            ;;
        esac
        found+=("$name is Python $version")
    done
    local others=${found[*]+"${found[*]/%/;}"}
    fail "needs Python 3.11, 3.12 or 3.13, found none:${others:+ ${others%;}}" \
        "(PYTHON=/path/to/python names one)"
}

# Every file is checked against its hash in the lock, including those of the installer uv.
install_lock() {
    local lock=$1 uv=.venv/bin/uv
    awk '/^uv==/ {on = 1} on {print} on && !/\\$/ {exit}' "$lock" >.venv/uv.lock
    if "$VENV_PYTHON" -m pip install --quiet --disable-pip-version-check --no-deps \
        --require-hashes -r .venv/uv.lock &&
        uv_install --require-hashes -r "$lock"; then
        uv_install --no-deps --no-build-isolation --editable .
        return
    fi
    # uv ignores pip's settings, which may name the only registry that can be reached.
    printf 'uv could not install; trying pip, which takes longer ...\n' >&2
    "$VENV_PYTHON" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock" ||
        fail "could not install the packages in $lock; can this machine reach a package registry?"
    "$VENV_PYTHON" -m pip install --quiet --no-deps --no-build-isolation --editable .
}

uv_install() {
    UV_PYTHON_DOWNLOADS=never "$uv" pip install --quiet --python "$VENV_PYTHON" "$@"
}
