# Sourced by the scripts that build this release with something changed in it, in a folder of its own.
# shellcheck shell=bash

# patched_from PATCH...: what such a build is made from, as one line.
patched_from() {
    git -C "$repo" ls-files -z -- '*.rs' '*.toml' Cargo.lock client/metadata.scale "$@" |
        (cd "$repo" && xargs -0 sha256sum) | sha256sum
}

# is_built FOLDER LINE: whether it is from that line, noted as FOLDER/built-from.
is_built() { [[ -e $1/built-from && $(<"$1/built-from") == "$2" ]]; }

# patched_source FOLDER PATCH...: the source, in FOLDER/source; the metadata of which the bindings are made is the
# caller's. What differs is copied only, so that what does not is not built again.
patched_source() {
    local folder=$1 patch file
    rm -rf "$folder/fresh"
    mkdir -p "$folder/source" "$folder/fresh"
    (cd "$repo" && git ls-files -z -- ':!e2e' | tar --create --null --files-from=-) |
        tar --extract --directory="$folder/fresh"
    for patch in "${@:2}"; do
        (cd "$folder/fresh" && git apply "$repo/$patch") || stop 1 "$patch does not fit this release any more"
    done
    rm "$folder/fresh/client/metadata.scale"
    (cd "$folder/fresh" && find . -type f -print0) | while IFS= read -r -d '' file; do
        cmp -s "$folder/fresh/$file" "$folder/source/$file" ||
            install -D --mode=644 "$folder/fresh/$file" "$folder/source/$file"
    done
    rm -r "$folder/fresh"
}

# seed_target TARGET: others' crates are built already. Hard links suffice for what a compiler never writes into again.
seed_target() {
    local from=$CARGO_TARGET_DIR/release to=$1/release
    [[ -e $from/deps && ! -e $to ]] || return 0
    mkdir -p "$to/deps"
    find "$from/deps" -maxdepth 1 -name 'lib*' ! -name '*.d' -print0 | xargs -0 cp --link --preserve=all -t "$to/deps"
    find "$from/deps" -maxdepth 1 -name '*.d' -print0 | xargs -0 cp --preserve=all -t "$to/deps"
    cp --archive "$from/.fingerprint" "$from/build" "$to"
    # Ours are to be built, and what is linked to must not be written to.
    find "$to" -maxdepth 2 \( -name '*quarry*' -o -name '*pallet[_-]compute*' -o -name '*pallet[_-]registry*' -o \
        -name '*pallet[_-]validators*' \) -prune -exec rm -r {} +
    [[ ! -e $from/wbuild ]] || cp --archive "$from/wbuild" "$to"
}

# build_program FOLDER NAME: of FOLDER/source, into FOLDER. One at a time, with the features of the whole workspace: else
# all would be built again. Each folder has a target of its own, as cargo takes a crate at the same place in another
# source for the same one, and goes by the files' times.
build_program() {
    seed_target "$1/target"
    (cd "$1/source" && CARGO_TARGET_DIR=$1/target cargo build --release --locked --workspace --bin "$2")
    install --mode=755 "$1/target/release/$2" "$1/$2"
}

# put FROM TO: unless the same lies there already.
put() { cmp -s "$1" "$2" || cp "$1" "$2"; }
