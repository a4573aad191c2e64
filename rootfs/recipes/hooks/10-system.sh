#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Hostname, root's password for the console, names without a resolver, and the units an emulated server can do without.
set -eu

echo "$GUEST_HOSTNAME" > /etc/hostname
echo "$GUEST_HOSTNAME.example" > /etc/mailname
: > /etc/motd
rm -f /etc/resolv.conf /etc/update-motd.d/*
: > /etc/resolv.conf
sed -i 's/^hosts:.*/hosts: files/' /etc/nsswitch.conf

# A fixed salt and few rounds: the same image each time, and no emulated second per console login.
hash=$(GUEST_PASSWORD="$GUEST_PASSWORD" perl -e 'print crypt($ENV{GUEST_PASSWORD}, q($6$rounds=1000$ccslab$))')
usermod -p "$hash" root
chmod 700 /root

systemctl --quiet enable ccs-network.service ccs-hostkeys.service

# Timers would make two runs of a lab differ; the rest costs boot time and has no use here.
while read -r unit; do
    [ -z "$unit" ] || ln -sf /dev/null "/etc/systemd/system/$unit"
done << 'UNITS'
apt-daily.service
apt-daily.timer
apt-daily-upgrade.service
apt-daily-upgrade.timer
dpkg-db-backup.timer
e2scrub_all.timer
e2scrub_reap.service
fstrim.timer
logrotate.timer
man-db.timer
phpsessionclean.timer
systemd-tmpfiles-clean.timer

dev-hugepages.mount
dev-mqueue.mount
sys-fs-fuse-connections.mount
sys-kernel-config.mount
sys-kernel-debug.mount
sys-kernel-tracing.mount
proc-sys-fs-binfmt_misc.automount
proc-sys-fs-binfmt_misc.mount
modprobe@.service
kmod-static-nodes.service
systemd-modules-load.service

getty@tty1.service
systemd-ask-password-wall.path
systemd-binfmt.service
systemd-hwdb-update.service
systemd-journal-flush.service
systemd-logind.service
systemd-networkd.service
systemd-pstore.service
systemd-rfkill.socket
systemd-timesyncd.service
systemd-udev-settle.service
UNITS
# Interfaces keep the kernel's names: eth0.
mkdir -p /etc/systemd/network
ln -sf /dev/null /etc/systemd/network/99-default.link
