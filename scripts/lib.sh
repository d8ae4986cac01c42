# Sourced by the scripts beside it: where things lie, and what a build needs in its environment.
# shellcheck shell=bash

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# In full, for those who change their folder.
# shellcheck disable=SC2034
here=$repo/scripts
cache=$HOME/.cache/quarry
distro_rust=$cache/distro-rust
wasm_target=wasm32v1-none
me=${0##*/}

say() { printf '%s: %s\n' "$me" "$*"; }

# stop EXIT_CODE MESSAGE...
stop() {
    printf '%s: %s\n' "$me" "${*:2}" >&2
    exit "$1"
}

wrong_usage() { stop 64 "$1 (see scripts/$me --help)"; }

# require_root WHAT
require_root() {
    ((EUID == 0)) || command -v sudo >/dev/null ||
        stop 1 "$1 takes root, and there is no sudo: run scripts/$me as root"
}

as_root() {
    require_root "this"
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# at_least WANTED VERSION
at_least() { printf '%s\n%s\n' "$1" "$2" | sort -VC; }

# has_wasm_target RUSTC
has_wasm_target() {
    local libraries
    libraries=$("$1" --print target-libdir --target "$wasm_target" 2>/dev/null) || return 1
    compgen -G "$libraries/libcore-*.rlib" >/dev/null || return 1
    # What scripts/setup built itself fits only the compiler that built it.
    [[ ! -e $libraries/built-by || $(<"$libraries/built-by") == $("$1" --version) ]] || return 1
    compgen -G "$libraries/../../*/bin/rust-lld" >/dev/null || command -v rust-lld >/dev/null
}

# Where rustup has no wasm target to offer, its toolchain builds the node and the distribution's the wasm.
quarry_build_env() {
    [[ $PATH == "$cache/bin:"* ]] ||
        PATH=$cache/bin:$cache/node/node_modules/.bin:${CARGO_HOME:-$HOME/.cargo}/bin:$PATH:$distro_rust/bin
    export PATH CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
    if [[ -z ${WASM_BUILD_TOOLCHAIN:-} && -e ${RUSTUP_HOME:-$HOME/.rustup}/toolchains/distro ]] &&
        ! has_wasm_target rustc && has_wasm_target "$distro_rust/bin/rustc"; then
        export WASM_BUILD_TOOLCHAIN=distro
    fi
}

# Installs what e2e's lock file names, unless that is what lies there already.
install_node_modules() {
    local lock=$repo/e2e/package-lock.json installed=$repo/e2e/node_modules/.installed-lock.json
    cmp -s "$lock" "$installed" && return
    npm --prefix "$repo/e2e" ci --silent --no-audit --no-fund && cp "$lock" "$installed"
}
