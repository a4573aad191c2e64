#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Leaves a complete first configuration in /etc/ccs of a root filesystem.
#
#   50-ccs-policy.sh CHROOT [NAME]
#
# CHROOT already holds the packages, the ccs-tools overlay and (if it is to be checked) /sbin/ccs-init;
# chroot(2) must work, so root or `unshare -r`.  Debian's init_policy scans the file system; what it
# writes is sorted, and its dated directory gets the fixed name NAME ("initial"), so that the same
# packages give the same bytes.
set -eu
LC_ALL=C
export LC_ALL
umask 077

root=${1:?usage: $0 CHROOT [NAME]}
name=${2:-initial}
ccs=$root/etc/ccs
init_policy=usr/lib/tomoyo/init_policy

fail() {
    echo "${0##*/}: $1 - $2" >&2
    exit 1
}

[ -x "$root/$init_policy" ] || fail "$root/$init_policy is missing" "install tomoyo-tools in the image first"

# The tools know /etc/tomoyo only.  The package's postinst made a configuration there: it is made again
# below.  dpkg leaves a link to a directory alone when it upgrades.
mkdir -p "$ccs/tools" "$root/var/log/tomoyo"
chmod 0700 "$ccs" "$ccs/tools" "$root/var/log/tomoyo"
if [ ! -L "$root/etc/tomoyo" ]; then
    rm -rf "$root/etc/tomoyo"
    ln -s ccs "$root/etc/tomoyo"
fi

rm -rf "$ccs/policy" "$ccs/stat.conf"
chroot "$root" /$init_policy --max_audit_log=4096 --max_learning_entry=8192 >/dev/null ||
    fail "init_policy failed" "run it in the image by hand to see why"
dated=$(readlink "$ccs/policy/current") || fail "init_policy made no policy/current" "is this tomoyo-tools 2.6?"
dated=${dated##*/}
mv "$ccs/policy/$dated" "$ccs/policy/$name"
rm -f "$ccs/policy/current" "$ccs/policy/previous"
ln -s "$name" "$ccs/policy/current"
ln -s "$name" "$ccs/policy/previous"
policy=$ccs/policy/$name

# init_policy knows the services of 2010.  A service is a domain of its own wherever it is started from.
services='
    /usr/sbin/apache2
    /usr/sbin/cron
    /usr/sbin/sshd
    /usr/lib/postfix/sbin/master
'
{
    cat "$policy/exception_policy.conf"
    for service in $services; do
        [ ! -x "$root$service" ] || echo "initialize_domain $service from any"
    done
    # The harness comes by ssh: whatever it starts there stays in the one domain that the domain
    # policy exempts by name.  Delete this line to learn and restrict ssh sessions too.
    echo 'keep_domain any from <kernel> /usr/sbin/sshd'
} | sort -u >"$policy/exception_policy.tmp"
mv "$policy/exception_policy.tmp" "$policy/exception_policy.conf"

{
    printf '<kernel>\nuse_profile 0\nuse_group 0\n\n'
    printf '<kernel> /usr/sbin/sshd\nuse_profile 0\nuse_group 0\n\n'
} >"$policy/domain_policy.conf"

# The kernel compares real paths: an entry that is a link, or is not there, never matches.
while read -r program; do
    real=$(chroot "$root" /usr/bin/readlink -e "$program") && echo "$real"
done <"$policy/manager.conf" | sort -u >"$policy/manager.tmp"
mv "$policy/manager.tmp" "$policy/manager.conf"
[ -s "$policy/manager.conf" ] || fail "no tool is left in manager.conf" "is tomoyo-tools whole?"

chmod 0600 "$policy"/*.conf "$ccs"/stat.conf "$ccs"/tools/*.conf

# The report's accident cannot happen here: a defective first configuration breaks the build.
if [ -x "$root/sbin/ccs-init" ]; then
    chroot "$root" /sbin/ccs-init --check ||
        fail "the first configuration is defective (above)" "mend the recipe or its tool versions"
fi
