#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Runs in the guest's tree after the last hook: takes away what differs from build to
# build or is of this host (identity.sh ran before it).
set -eu
day=$((SOURCE_DATE_EPOCH / 86400))

# What apt, dpkg and their tools leave; there is no archive in the guest's reach.
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt/* /var/cache/debconf/*-old /var/lib/dpkg/*-old
rm -f /var/log/dpkg.log /var/log/alternatives.log /var/log/bootstrap.log /var/cache/ldconfig/aux-cache
rm -f /var/lib/dpkg/lock /var/lib/dpkg/lock-frontend /var/lib/dpkg/triggers/Lock /etc/.pwd.lock
rm -f /etc/apt/apt.conf.d/99mmdebstrap /etc/dpkg/dpkg.cfg.d/99mmdebstrap /etc/apt/sources.list.d/*
echo '# The guests of the lab reach no archive.' > /etc/apt/sources.list
# Backups of the account files hold dates; so do the accounts themselves.
rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-
sed -i -E "s/^([^:]*:[^:]*:)[0-9]+:/\\1$day:/" /etc/shadow

find /var/log -type f -exec truncate -s 0 {} +
rm -rf /tmp/* /var/tmp/* /root/.bash_history /root/.wget-hsts

# systemd takes a tree that is newer than these for an update and runs its update services.
echo "TIMESTAMP_NSEC=${SOURCE_DATE_EPOCH}000000000" | tee /etc/.updated > /var/.updated
