# Sourced by the scripts beside it, for bash. Makes the Python environment and installs what Debian
# or Ubuntu has to provide, as far as this user is permitted; otherwise says which command to run.
# Sourcing it sets `root`, the checkout; `prepare_python` sets `python`, the environment's interpreter.

set -euo pipefail

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
readonly root

# Whatever LANG says, Python reads and writes UTF-8.
export PYTHONUTF8=1

# How pytest uses all cores (tests/parallel.py). A worker that ends by itself, as one does whose test
# hangs, ends the run.
in_parallel=(-n auto --dist loadgroup --no-loadscope-reorder --max-worker-restart 0)

note() { printf '%s\n' "-- $*" >&2; }

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

# run_quietly WHAT COMMAND...: announce WHAT, run the command, show its output only when it fails.
run_quietly() {
    local what=$1 log
    shift
    note "$what"
    log=$(mktemp "${TMPDIR:-/tmp}/balcony-log.XXXXXX")
    if "$@" >"$log" 2>&1; then
        rm -f -- "$log"
    else
        tail -n 60 -- "$log" >&2
        fail "failed: $what" "the whole output is in $log"
    fi
}

# --- Debian packages ---------------------------------------------------------------------------

# Sets as_root to what makes a command run as root; false when this user may not.
may_install() {
    if [ "$(id -u)" -eq 0 ]; then
        as_root=(env)
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root=(sudo -n)
    else
        return 1
    fi
}

# An installed server would start at once, take the usual ports, and start again at each boot.
# While packages are installed a policy forbids that; the policy of somebody else is left alone.
install_without_starting() (
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap '"${as_root[@]}" rm -f -- "$policy"' EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM HUP
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null || exit
        "${as_root[@]}" chmod 755 "$policy" || exit
    fi
    apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120)
    "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "$@"
)

# need_packages PACKAGE...: install those that are missing, or say what to do and end.
need_packages() {
    local package epmd missing=() as_root=()
    command -v dpkg-query >/dev/null ||
        fail "this needs $*; this is no Debian or Ubuntu: install it with the system's own tool"
    for package in "$@"; do
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true) in
            *' installed') ;;
            *) missing+=("$package") ;;
        esac
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    may_install ||
        fail "missing: ${missing[*]}. As root, run:" \
            "    apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    epmd=$(command -v epmd || true)
    run_quietly "installing ${missing[*]} with apt-get" install_without_starting "${missing[@]}"
    command -v systemctl >/dev/null || return 0
    # We came with these, so they are ours to keep from starting at the next boot.
    for package in "${missing[@]}"; do
        case $package in
            prosody | ejabberd) disable_at_boot "$package" ;;
            bitlbee-libpurple) disable_at_boot bitlbee ;;
            biboumi) disable_at_boot biboumi ;;
        esac
    done
    # Erlang's port mapper came along with ejabberd, unless it was here before.
    [ -n "$epmd" ] || disable_at_boot epmd.socket epmd
}

disable_at_boot() {
    "${as_root[@]}" systemctl --quiet disable "$@" >/dev/null 2>&1 || true
}

# A server that is there by whatever way is used as it is.
need_prosody() {
    PATH=$PATH:/usr/sbin:/sbin
    if ! { command -v prosody && command -v prosodyctl; } >/dev/null; then
        need_packages prosody
    fi
}

need_prosody_modules() {
    [ -e /usr/lib/prosody/modules/mod_privilege/mod_privilege.lua ] || need_packages prosody-modules
}

need_ejabberd() {
    { command -v erl && compgen -G '/usr/lib/*/ejabberd-*/ebin/ejabberd.app'; } >/dev/null ||
        need_packages ejabberd
}

# The client in the demo's page: its files as they were published, fetched once. Sets `converse`.
converse_version=14.0.0
converse_sha512=2c5520d37d230da955e3bbc8fefc953ea60f65f2585c56ee6eaf2fd1c1437b6cd735e786124dd4a74163fd64f34fab7ee9da3e700213a32ef77808fb44d0e3d9
need_converse() {
    local place=${venv%/*}/.cache fetched
    converse=$place/converse.js-$converse_version
    [ ! -e "$converse" ] || return 0
    command -v npm >/dev/null || need_packages npm
    mkdir -p -- "$place"
    fetched=$(mktemp -d "$place/fetching.XXXXXX")
    run_quietly "fetching Converse.js $converse_version with npm" env -C "$fetched" \
        npm pack --silent "converse.js@$converse_version"
    printf '%s  %s\n' "$converse_sha512" "$fetched/converse.js-$converse_version.tgz" |
        sha512sum --check --status ||
        fail "this is not the Converse.js $converse_version that was expected: look at $fetched"
    tar -xzf "$fetched/converse.js-$converse_version.tgz" -C "$fetched" package/dist
    mv -- "$fetched/package/dist" "$converse" 2>/dev/null || [ -e "$converse" ]
    rm -rf -- "$fetched"
}

need_profanity() {
    { command -v profanity && command -v tmux; } >/dev/null || need_packages profanity tmux
}

# It drives an AIM and ICQ client, whose plug-in the tests fetch themselves, checked with this key.
need_bitlbee() {
    PATH=$PATH:/usr/sbin:/sbin command -v bitlbee >/dev/null || need_packages bitlbee-libpurple
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || need_packages debian-archive-keyring
}

# What the gateway is compared with. The bench does without it where it may not be installed.
need_biboumi() {
    local as_root=()
    PATH=$PATH:/usr/sbin:/sbin command -v biboumi >/dev/null || ! may_install ||
        ! command -v dpkg-query >/dev/null || (need_packages biboumi) ||
        note "going on without biboumi"
}

# The store's tests run one of their own; the one that Debian may set up is left alone.
need_postgresql() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null ||
        need_packages postgresql
}

# Ubuntu's Chromium is a snap, which cannot be driven from here: there Playwright fetches its own.
need_chromium() {
    local name fetched=${PLAYWRIGHT_BROWSERS_PATH:-${HOME:-}/.cache/ms-playwright}
    # What drives the browser is a program of Playwright's own, which a small Debian cannot start.
    if command -v dpkg-query >/dev/null; then
        compgen -G '/usr/lib/*/libatomic.so.1' >/dev/null || need_packages libatomic1
    fi
    for name in chromium-headless-shell chromium google-chrome; do
        ! command -v "$name" >/dev/null || return 0
    done
    if ! grep -qs '^ID=ubuntu$' /etc/os-release; then
        need_packages chromium-headless-shell
    elif ! compgen -G "$fetched/chromium_headless_shell-*" >/dev/null; then
        run_quietly "installing Chromium with Playwright" \
            "$python" -m playwright install --with-deps --only-shell chromium
    fi
}

need_openssl() {
    command -v openssl >/dev/null || need_packages openssl
}

# --- Python --------------------------------------------------------------------------------------

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

can_make_environments() {
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1
}

# Prints the interpreter to use: $PYTHON, or the first that is new enough and complete, or else the
# first that is new enough.
find_interpreter() {
    local candidate incomplete=
    if [ -n "${PYTHON:-}" ]; then
        is_new_enough "$PYTHON" || return 1
        printf '%s\n' "$PYTHON"
        return
    fi
    for candidate in python3.11 python3.12 python3.13 python3.14 python3 /usr/bin/python3; do
        is_new_enough "$candidate" || continue
        if can_make_environments "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
        incomplete=${incomplete:-$candidate}
    done
    [ -n "$incomplete" ] && printf '%s\n' "$incomplete"
}

# A checkout that is not ours to write in stays untouched: what we make goes to this user's cache.
choose_places() {
    venv=$root/.venv
    [ ! -w "$root" ] || return 0
    local cache=${XDG_CACHE_HOME:-${HOME:?"\$HOME is needed: $root is not writable"}/.cache}/balcony
    cache=$cache/$(printf '%s' "$root" | sha256sum | cut -c 1-16)
    mkdir -p -- "$cache"
    export COVERAGE_FILE=$cache/coverage MYPY_CACHE_DIR=$cache/mypy RUFF_CACHE_DIR=$cache/ruff
    export HYPOTHESIS_STORAGE_DIRECTORY=$cache/hypothesis PYTHONDONTWRITEBYTECODE=1
    export PYTEST_ADDOPTS="${PYTEST_ADDOPTS:-} -p no:cacheprovider"
    if ! is_filled; then
        venv=$cache/venv
    fi
}

version_of() {
    "$1" -c 'import sys; print(sys.version)' 2>/dev/null
}

# What a filled environment is filled with. The places are part of it: an environment that was
# moved with its folder does not work.
stamp_of() {
    {
        printf '%s\n' "$root" "$venv"
        version_of "$venv/bin/python"
        cat -- "$root/requirements-dev.txt" "$root/pyproject.toml"
    } | sha256sum
}

# Whether the environment runs, with the interpreter asked for, from where it was made.
is_sound() {
    [ -x "$venv/bin/python" ] && is_new_enough "$venv/bin/python" &&
        [ "$("$venv/bin/python" -c 'import sys; print(sys.prefix)')" = "$venv" ] &&
        { [ -z "${PYTHON:-}" ] || [ "$(version_of "$PYTHON")" = "$(version_of "$venv/bin/python")" ]; }
}

is_filled() {
    is_sound && [ "$(cat -- "$venv/.balcony-stamp" 2>/dev/null)" = "$(stamp_of)" ]
}

make_environment() {
    local interpreter
    if ! interpreter=$(find_interpreter); then
        [ -z "${PYTHON:-}" ] || fail "PYTHON=$PYTHON does not run Python 3.11 or newer"
        command -v python3 >/dev/null || need_packages python3 python3-venv
        interpreter=$(find_interpreter) ||
            fail "Python 3.11 or newer is needed; python3 here is: $(python3 --version 2>&1)" \
                "install a newer one and run this again with PYTHON=/path/to/python3.1x"
    fi
    if ! can_make_environments "$interpreter"; then
        need_packages "python$("$interpreter" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    fi
    run_quietly "making the Python environment $venv ($("$interpreter" --version))" \
        "$interpreter" -m venv --clear "$venv"
}

# Sets `python` to an environment's interpreter that has everything; makes and fills it when needed.
prepare_python() {
    choose_places
    python=$venv/bin/python
    is_filled || (
        flock 9 # two scripts started at once: the second waits, and finds the work done
        if is_filled; then
            exit
        fi
        is_sound || make_environment
        rm -f -- "$venv/.balcony-stamp"
        pip=("$python" -m pip install --disable-pip-version-check)
        run_quietly "installing the Python packages (about half a minute)" \
            "${pip[@]}" -r "$root/requirements-dev.txt"
        run_quietly "installing Balcony into it" "${pip[@]}" --no-deps -e "$root"
        stamp_of >"$venv/.balcony-stamp"
    ) 9<"$root/pyproject.toml"
}
