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
systemd-tmpfiles-setup-dev.service

getty-static.service
getty@.service
systemd-ask-password-console.path
systemd-ask-password-wall.path
systemd-binfmt.service
systemd-firstboot.service
systemd-hwdb-update.service
systemd-initctl.socket
systemd-journal-flush.service
systemd-journald-audit.socket
systemd-logind.service
systemd-networkd.service
systemd-pstore.service
systemd-random-seed.service
systemd-repart.service
systemd-rfkill.socket
systemd-timesyncd.service
systemd-update-utmp-runlevel.service
systemd-update-utmp.service
systemd-user-sessions.service
UNITS
# Without systemd-user-sessions nobody would lift the ban on logins that holds while a machine boots.
mkdir -p /etc/tmpfiles.d
ln -sf /dev/null /etc/tmpfiles.d/systemd-nologin.conf
# Nothing is waited for in the name of the network: its address is static.
ln -sf /dev/null /etc/systemd/system/network-online.target
: > /etc/default/locale
