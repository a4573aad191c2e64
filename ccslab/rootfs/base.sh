#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Packages -> base tarball: mmdebstrap as root of an enclosure (enclosure.py), its tree on a tmpfs only it sees.
#   base.sh MMDEBSTRAP-ARGUMENT ...
# Environment: TREE (an empty folder), DEBS (folder of kept packages), PACKAGES (file that gets what was
# installed, "NAME VERSION" a line), IDENTITY (identity.sh), SOURCE_DATE_EPOCH
set -eu
umask 022

# As open as /tmp: apt's own user works in there too.
mount -t tmpfs -o mode=1777 tmpfs "$TREE"
export TMPDIR="$TREE" DEBS PACKAGES IDENTITY

# In a namespace of ours already, mmdebstrap's unshare mode makes no user namespace, but binds the device
# nodes that an ordinary user's namespace may not make; as root of the machine it does the very same.
# shellcheck disable=SC2016
exec mmdebstrap --verbose --mode=unshare --skip=essential/unlink \
    --setup-hook='mkdir -p "$1/var/cache/apt/archives/partial"
        find "$DEBS" -name "*.deb" -exec cp -t "$1/var/cache/apt/archives" {} +' \
    --customize-hook='chroot "$1" /bin/sh -eu < "$IDENTITY"' \
    --customize-hook='chroot "$1" dpkg-query -W -f "\${Package} \${Version}\n" | LC_ALL=C sort > "$PACKAGES"
        find "$1/var/cache/apt/archives" -maxdepth 1 -name "*.deb" | while read -r deb; do
            kept="$DEBS/${deb##*/}"
            [ -e "$kept" ] || { cp "$deb" "$kept.part$$" && mv "$kept.part$$" "$kept"; }
        done' \
    "$@"
