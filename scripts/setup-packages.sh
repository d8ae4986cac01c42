# Sourced by scripts/setup: packages of Debian and Ubuntu.
# shellcheck shell=bash

# shellcheck disable=SC2034 # all are for scripts/setup
build_packages=(
    build-essential clang lld libclang-dev cmake pkg-config libssl-dev libvirt-dev protobuf-compiler
    git curl ca-certificates iproute2
)
# shellcheck disable=SC2034
guest_packages=(
    openssh-client util-linux
    libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils dnsmasq-base ebtables iptables slirp4netns
    # scripts/guest-images
    mmdebstrap debian-archive-keyring cpio e2fsprogs fdisk dosfstools mtools syslinux syslinux-common
)
# shellcheck disable=SC2034
test_packages=(
    "${guest_packages[@]}"
    shellcheck
    # a clock that jumps, for drills
    libfaketime
    # promtool, for the rules in ops/
    prometheus
)

require_known_system() {
    # shellcheck source=/dev/null
    [[ ! -r /etc/os-release ]] || source /etc/os-release
    case ${ID:-} in
    # Debian testing and sid carry no version.
    debian) ! at_least 12 "${VERSION_ID:-99}" || return 0 ;;
    ubuntu) ! at_least 22.04 "$VERSION_ID" || return 0 ;;
    esac
    stop 1 "cannot install packages on '${PRETTY_NAME:-an unknown system}', only on Debian 12 or newer" \
        "and Ubuntu 22.04 or newer. Elsewhere install these yourself: ${packages[*]}"
}

not_installed() {
    local installed package
    # dpkg-query fails when it knows one of them not at all; what it prints is right all the same.
    # shellcheck disable=SC2016 # dpkg-query's own variables
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
    for package; do
        [[ $'\n'$installed$'\n' == *$'\n'"$package installed"$'\n'* ]] || printf '%s\n' "$package"
    done
}

apt_get() {
    quietly as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 "$@"
}

# What is installed here is for tests to start: no package may do so itself.
policy=/usr/sbin/policy-rc.d
without_services() {
    local code=0
    if [[ -e $policy ]]; then
        "$@"
        return
    fi
    trap 'as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root install -m 755 /dev/stdin "$policy"
    "$@" || code=$?
    as_root rm -f "$policy"
    trap - EXIT
    return "$code"
}

apt_lists=old
apt_update() {
    [[ $apt_lists == old ]] || return 0
    require_root "installing packages"
    say "refreshing the package lists"
    apt_get update || fail "apt-get update failed: is the network there, does another apt run?"
    apt_lists=new
}

# apt_candidate PACKAGE: the version that would be installed, nothing if there is none.
apt_candidate() { LC_ALL=C apt-cache policy "$1" | sed -n 's/^ *Candidate: \([^(].*\)/\1/p'; }

apt_resolves() { quietly apt-get install --simulate --no-install-recommends --no-remove "$@"; }

apt_install() {
    local suite=()
    require_known_system
    apt_update
    say "installing packages: $*"
    if ! apt_resolves "$@"; then
        add_backports || fail "apt cannot install these together (on Ubuntu, is 'universe' enabled?)"
        suite=(--target-release "$backports")
        if ! apt_resolves "${suite[@]}" "$@"; then
            as_root rm "$backports_list"
            fail "apt cannot install these, not from $backports either"
        fi
    fi
    without_services apt_get install --no-install-recommends --no-remove "${suite[@]}" "$@" ||
        fail "apt-get install failed: is the network there, does another apt run?"
}

backports_list=/etc/apt/sources.list.d/quarry-backports.sources
# A machine that holds newer packages from backports already needs the rest from there too.
add_backports() {
    local mirror
    [[ $ID == debian && -n ${VERSION_ID:-} ]] || return
    backports=$VERSION_CODENAME-backports
    # shellcheck disable=SC2016 # apt's own variable
    read -r mirror < <(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
        'Label: Debian' "Codename: $VERSION_CODENAME") || return
    say "adding $backports, from the mirror the other packages come from"
    printf '%s\n' 'Types: deb' "URIs: $mirror" "Suites: $backports" 'Components: main' \
        'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg' |
        as_root tee "$backports_list" >>"$log"
    apt_get update
}
