#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Base tarball -> ext4 image. Runs as root of an enclosure (enclosure.py), without network; the tree is on a
# tmpfs that only this enclosure sees, so nothing of it is left behind however this ends.
#   image.sh overlay:DIR | program:FILE:DESTINATION | hook:FILE ...      (done in this order)
# Environment: TREE BASE IMAGE EPOCH SIZE_MIB UUID LABEL GUEST_HOSTNAME GUEST_PASSWORD HERE
set -eu
umask 022

say() { echo "image: $*"; }

mount -t tmpfs -o mode=755,noatime tmpfs "$TREE"
say "unpacking $(basename "$BASE")"
# A user namespace cannot make device nodes, and devtmpfs brings them at boot.
tar -C "$TREE" -x -p --numeric-owner --xattrs --xattrs-include='*' --exclude='./dev/*' -f "$BASE"

mount -t proc -o ro proc "$TREE/proc"
mount -t tmpfs -o mode=755 tmpfs "$TREE/dev"
for node in null zero full random urandom; do
    : > "$TREE/dev/$node"
    mount --bind "/dev/$node" "$TREE/dev/$node"
done
ln -s /proc/self/fd "$TREE/dev/fd"
mount -t tmpfs -o mode=755 tmpfs "$TREE/run"
install -d -m 1777 "$TREE/run/lock"
hostname "$GUEST_HOSTNAME"
# No network, but the loopback that programs expect: "postfix check" fails without it, and says nothing.
chroot "$TREE" ip link set lo up 2> /dev/null || ip link set lo up

inside() {
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TZ=UTC \
        DEBIAN_FRONTEND=noninteractive SOURCE_DATE_EPOCH="$EPOCH" GUEST_HOSTNAME="$GUEST_HOSTNAME" \
        GUEST_PASSWORD="$GUEST_PASSWORD" /usr/sbin/chroot "$TREE" "$@"
}

for part in "$@"; do
    what=${part#*:}
    case $part in
    overlay:*)
        # Only the x bit of a file counts, as in git: a checkout's umask must not reach the image.
        tar -C "$what" -c --sort=name --owner=0 --group=0 --numeric-owner --mode='u=rwX,go=rX' \
            --exclude='*~' --exclude='*.swp' --exclude='__pycache__' . |
            tar -C "$TREE" -x -p --no-overwrite-dir --keep-directory-symlink -f -
        say "overlay $what"
        ;;
    program:*)
        from=${what%:*}
        install -D -m 755 "$from" "$TREE/${what##*:}"
        say "program ${what##*:}"
        ;;
    hook:*)
        say "hook $(basename "$what")"
        install -m 755 "$what" "$TREE/run/hook"
        inside /run/hook / || {
            echo "E: hook $(basename "$what") ended with status $?" >&2
            exit 1
        }
        ;;
    esac
done

say "tidying"
for script in identity tidy; do
    install -m 755 "$HERE/$script.sh" "$TREE/run/$script"
    inside "/run/$script"
done

umount "$TREE/run" "$TREE/proc"
umount -R "$TREE/dev"

# mke2fs takes the times it finds; a change time cannot be set, so debugfs sets it afterwards.
find "$TREE" -newermt "@$EPOCH" -print0 | xargs -0r touch -h -m -d "@$EPOCH"
find "$TREE" -print0 | xargs -0 touch -h -a -d "@$EPOCH"

say "making the file system"
export MKE2FS_CONFIG=/dev/null E2FSPROGS_FAKE_TIME="$EPOCH"
rm -f "$IMAGE"
truncate -s "${SIZE_MIB}M" "$IMAGE"
mke2fs -q -F -d "$TREE" -U "$UUID" -L "$LABEL" -b 4096 -I 256 -i 16384 -m 1 \
    -O none,has_journal,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum,resize_inode \
    -E "hash_seed=$UUID,root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard" "$IMAGE"

used=$(dumpe2fs -h "$IMAGE" 2>/dev/null | awk -F: '/^Inode count/ { i = $2 } /^Free inodes/ { f = $2 } END { print i - f }')
say "setting the times of $used inodes"
stamp=$(date -u -d "@$EPOCH" +%Y%m%d%H%M%S)
seq 1 "$used" | while read -r inode; do
    echo "set_inode_field <$inode> ctime $stamp"
    echo "set_inode_field <$inode> ctime_extra 0"
    echo "set_inode_field <$inode> crtime $stamp"
done > "$TREE/.times"
debugfs -w -f "$TREE/.times" "$IMAGE" > "$TREE/.said" 2>&1
e2fsck -f -n "$IMAGE" > "$TREE/.said" 2>&1 || {
    cat "$TREE/.said"
    echo "E: the new file system is not clean" >&2
    exit 1
}
say "done"
