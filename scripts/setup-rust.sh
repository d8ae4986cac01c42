# Sourced by scripts/setup: the compiler, its wasm target, and the tools that cargo installs.
# shellcheck shell=bash

rust_lacking() {
    local version
    version=$(rustc --version 2>/dev/null) && command -v cargo >/dev/null || return 0
    at_least "$rust_wanted" "$(cut -d' ' -f2 <<<"$version")" ||
        stop 1 "$version is too old, it takes $rust_wanted: update it (with rustup: 'rustup update') or remove it"
    return 1
}

install_rust() {
    install_rustup || say "the rustup installer cannot be downloaded"
    hash -r
    if command -v rustup >/dev/null; then
        say "installing the stable Rust toolchain with rustup"
        if quietly timeout 1200 rustup toolchain install stable --profile minimal --no-self-update; then
            quietly rustup default stable
            return
        fi
        say "rustup cannot download a toolchain"
    fi
    install_distro_rust
}

install_rustup() {
    ! command -v rustup >/dev/null || return 0
    require_known_system
    apt_update
    if [[ -n $(apt_candidate rustup) ]]; then
        apt_install rustup
    else
        say "installing rustup"
        quietly bash -c 'set -o pipefail
            curl -fsSL --connect-timeout 20 https://sh.rustup.rs |
            sh -s -- -y --no-modify-path --default-toolchain none'
    fi
}

# Debian packages a current compiler for its browsers, Ubuntu numbered ones.
install_distro_rust() {
    local newest packaged root
    require_known_system
    apt_update
    newest=$(apt-cache pkgnames rustc-1. | sed 's/^rustc-//' | sort -V | tail -n 1)
    if at_least "$rust_wanted" "$(apt_candidate rustc-web)"; then
        packaged=(rustc-web cargo-web rust-web-src rust-web-clippy rustfmt-web)
        root=/usr
    elif at_least "$rust_wanted" "${newest:-0}"; then
        packaged=("rustc-$newest" "cargo-$newest" "rust-$newest-src" "rust-$newest-clippy" "rustfmt-$newest")
        root=/usr/lib/rust-$newest
    else
        stop 1 "$PRETTY_NAME packages no Rust $rust_wanted or newer: install rustup, then run this again"
    fi
    if [[ $root == /usr && -z $(not_installed rustup) ]]; then
        rust_lacking || stop 1 "rustup has no $wasm_target, and the packages rustup and rustc-web exclude" \
            "each other: run 'apt-get remove rustup', then this again"
        apt_get remove rustup
    fi
    apt_install "${packaged[@]}"
    ln -sfn "$root" "$distro_rust"
    hash -r
}

wasm_target_lacking() { [[ -z ${WASM_BUILD_TOOLCHAIN:-} ]] && ! has_wasm_target rustc; }

install_wasm_target() {
    if command -v rustup >/dev/null; then
        rustup_wasm_target && return
        say "rustup cannot do that: turning to the distribution's compiler"
    fi
    [[ -x $distro_rust/bin/rustc ]] || install_distro_rust
    build_wasm_target "$distro_rust" || fail "cannot build the libraries of $wasm_target"
    link_rust_lld
    if command -v rustup >/dev/null; then
        quietly rustup toolchain link distro "$(readlink "$distro_rust")"
    fi
}

rustup_wasm_target() {
    local sysroot libraries
    sysroot=$(rustc --print sysroot)
    libraries=$sysroot/lib/rustlib/$wasm_target/lib
    say "adding the target $wasm_target with rustup"
    # What an earlier run built for an older compiler would be in rustup's way.
    [[ ! -e $libraries/built-by ]] || rm -r "${libraries%/lib}"
    quietly timeout 300 rustup target add "$wasm_target" && return
    say "rustup has no such target: adding the compiler's source instead"
    quietly timeout 300 rustup component add rust-src && build_wasm_target "$sysroot"
}

# build_wasm_target SYSROOT: builds the target's libraries from the source that lies in there.
build_wasm_target() (
    sysroot=$1
    libraries=$sysroot/lib/rustlib/$wasm_target/lib
    say "building the libraries of $wasm_target"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/src"
    printf '[package]\nname = "wasm-libraries"\nversion = "0.0.0"\nedition = "2021"\n' >"$work/Cargo.toml"
    printf '#![no_std]\nextern crate alloc;\n' >"$work/src/lib.rs"
    # The runtime is built with LTO, which needs the bitcode.
    quietly env -C "$work" RUSTC="$sysroot/bin/rustc" RUSTC_BOOTSTRAP=1 RUSTFLAGS='-C embed-bitcode=yes' \
        "$sysroot/bin/cargo" build --release --target "$wasm_target" --target-dir "$work" \
        -Z build-std=core,alloc || return
    "$sysroot/bin/rustc" --version >"$work/built-by"
    place=()
    [[ -w $sysroot/lib/rustlib ]] || place=(as_root)
    # Two versions of one library side by side would be ambiguous.
    "${place[@]}" rm -rf "$libraries"
    "${place[@]}" mkdir -p "$libraries"
    "${place[@]}" install -m 644 "$work/built-by" \
        "$work/$wasm_target"/release/deps/lib{core,alloc,compiler_builtins}-*.rlib "$libraries"
    rm -rf "$CARGO_TARGET_DIR"/*/wbuild
)

link_rust_lld() {
    local bundled
    bundled=$(compgen -G "$(rustc --print sysroot)/lib/rustlib/*/bin/rust-lld" || true)
    ln -sfn "${bundled:-$(command -v lld)}" "$cache/bin/rust-lld"
}

lints_lacking() { ! cargo-clippy --version &>/dev/null || ! cargo-fmt --version &>/dev/null; }

install_lints() {
    if command -v rustup >/dev/null; then
        say "adding clippy and rustfmt with rustup"
        quietly rustup component add clippy rustfmt || fail "rustup cannot add clippy and rustfmt"
    else
        install_distro_rust
    fi
}

# cargo_tool_lacking NAME VERSION
cargo_tool_lacking() {
    local version
    version=$("$1" --version 2>/dev/null) || return 0
    ! at_least "$2" "$(awk 'NR == 1 { print $2 }' <<<"$version")"
}

# install_cargo_tool NAME VERSION
install_cargo_tool() (
    say "building $1 $2"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    CARGO_TARGET_DIR=$work CARGO_PROFILE_DEV_DEBUG=0 \
        quietly cargo install --locked --debug --root "$cache" --version "$2" "$1" ||
        fail "cannot build $1"
)
