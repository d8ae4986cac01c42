#!/bin/sh
# Usage: keeper.sh [--sandbox] FOLDER COMMAND...
#
# Runs what scripts/dev runs, and clears its folder away, however it ended. With --sandbox it is the first process
# of a sandbox, whose processes and mounts end with it; there libvirt's folders are the sandbox's own.
set -eu

sandbox=false
if [ "$1" = --sandbox ]; then
    sandbox=true
    shift
fi
folder=$1
shift

exec 9<"$folder"
flock --shared 9

# In /run there is also the machine's D-Bus, by which libvirt would speak to its systemd and its firewall.
own_run() {
    servers=$(cat /etc/resolv.conf || true)
    resolv=$(readlink -f /etc/resolv.conf || true)
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir -p /run/lock
    case $resolv in
    /run/*)
        mkdir -p "${resolv%/*}"
        printf '%s\n' "$servers" >"$resolv"
        ;;
    esac
}

own_libvirt() {
    for place in etc/libvirt var/lib/libvirt var/log/libvirt var/cache/libvirt; do
        mkdir -p "/run/quarry/$place"
    done
    # The one folder that libvirt expects from its package.
    mkdir /run/quarry/var/lib/libvirt/dnsmasq
    cp -a /etc/libvirt/nwfilter "/run/quarry/etc/libvirt/"
    # Only root gets to its socket; and what the machine's security modules know of libvirt does not hold here.
    printf 'auth_unix_ro = "none"\nauth_unix_rw = "none"\n' >/run/quarry/etc/libvirt/libvirtd.conf
    printf 'security_driver = "none"\n' >/run/quarry/etc/libvirt/qemu.conf
    for place in etc/libvirt var/lib/libvirt var/log/libvirt var/cache/libvirt; do
        mount --bind "/run/quarry/$place" "/$place"
    done
    # Disks lie on a real file system, and where QEMU's user gets to them.
    mkdir -p "$folder/worker" /run/quarry/worker
    mount --bind "$folder/worker" /run/quarry/worker
}

if $sandbox; then
    own_run
    own_libvirt
fi
mkdir -p "$folder/tmp"
code=0
TMPDIR=$folder/tmp "$@" || code=$?
# What is left when the command was killed.
! $sandbox || kill -KILL -1 2>/dev/null || true
rm -rf --one-file-system "$folder"
exit "$code"
