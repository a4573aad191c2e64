#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Runs in a tree with packages just installed: takes away the keys, identities and dated configurations that their
# installation made, so that the same packages leave the same bytes. What a guest needs of them is made elsewhere.
set -eu
: > /etc/machine-id
rm -f /var/lib/dbus/machine-id /etc/ssh/ssh_host_* /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
rm -f /etc/ssl/private/ssl-cert-snakeoil.key /etc/ssl/certs/ssl-cert-snakeoil.pem
[ ! -d /etc/ssl/certs ] || find /etc/ssl/certs -xtype l -delete
# A Berkeley database has an identity of its own; the recipes use texthash.
rm -f /etc/aliases.db /etc/postfix/*.db
# The first policy carries the time of its making in its name; the hook 50-ccs-policy.sh makes ours.
[ -L /etc/tomoyo ] || rm -rf /etc/tomoyo/*
