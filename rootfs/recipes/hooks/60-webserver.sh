#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Turns an installed root filesystem (packages of webserver.toml, overlay of labs/apache-cgi laid over it, programs of
# rootfs/src installed) into the server of the lab. Runs inside that tree, or outside of it with the tree's directory as
# argument. What is written has a fixed time stamp and nothing depends on the host: same inputs, same image.
set -eu
root=${1-}
when=${SOURCE_DATE_EPOCH:-1212278400}
site=1212278400 # 2008-06-01 00:00 UTC: the time stamp of the pages, which clients see

in_root() { ${root:+chroot "$root"} /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C TZ=UTC HOME=/root SOURCE_DATE_EPOCH="$when" "$@"; }

# People: mailboxes only, no logins.
id=2001
for user in webmaster sysadmin visitor; do
	if ! grep -q "^$user:" "$root/etc/passwd"; then
		in_root useradd --uid $id --no-create-home --home-dir / --shell /usr/sbin/nologin $user
	fi
	: > "$root/var/mail/$user"
	in_root chown $user:mail /var/mail/$user
	chmod 0660 "$root/var/mail/$user"
	id=$((id + 1))
done
# MISTAKE, meant: somebody once wanted Apache to check system passwords, and put it into the group that may read them.
in_root usermod -a -G shadow www-data

# Apache: prefork, PHP inside, CGI; nothing else that is not needed.
in_root a2dismod -q -f mpm_event mpm_worker deflate status negotiation reqtimeout >/dev/null
in_root a2enmod -q mpm_prefork cgi php8.2 >/dev/null
in_root a2disconf -q -f charset localized-error-pages other-vhosts-access-log security serve-cgi-bin >/dev/null
in_root a2enconf -q lab >/dev/null
in_root phpdismod -s apache2 opcache
# MISTAKE, meant: the statistics of the site are made by a page, so the logs are open to it.
chmod 0755 "$root/var/log/apache2"
for log in access error; do
	: > "$root/var/log/apache2/$log.log"
	chmod 0644 "$root/var/log/apache2/$log.log"
done
rm -f "$root/var/log/apache2/other_vhosts_access.log"

# Programs of ours.
chmod 0755 "$root"/usr/lib/cgi-bin/*.cgi "$root"/usr/lib/ccs-lab/* "$root/usr/local/sbin/ccs-logwatch" \
	"$root/usr/local/sbin/webapp-backup" "$root/usr/local/sbin/old-sendmail"
for at in usr/sbin usr/bin sbin; do
	[ ! -f "$root/$at/mediactl" ] || [ -L "$root/$at" ] || mv "$root/$at/mediactl" "$root/usr/local/sbin/mediactl"
done
if [ ! -f "$root/usr/local/sbin/mediactl" ]; then
	echo "60-webserver: mediactl is not installed (rootfs/src/mediactl.c): install it as /usr/local/sbin/mediactl" >&2
	exit 1
fi
in_root chown root:root /usr/local/sbin/mediactl
chmod 4755 "$root/usr/local/sbin/mediactl"

# The data of the site, owned by the web server (MISTAKE, meant: the pages too).
mkdir -p "$root/var/lib/webapp/entries" "$root/var/www/vol2/templates_c" "$root/var/www/vol2/cache" \
	"$root/var/www/vol2/archive" "$root/usr/share/webapp-counter" "$root/srv/media/scratch" "$root/mnt/backup" \
	"$root/var/log/tomoyo" "$root/var/www/html/uploads"
rm -f "$root/var/www/html/uploads/.keep"
for name in members poll; do
	rm -f "$root/var/lib/webapp/$name.sqlite"
	in_root sqlite3 -init /dev/null "/var/lib/webapp/$name.sqlite" ".read /usr/share/webapp/$name.sql"
done
: > "$root/var/lib/webapp/entries/.lock"
: > "$root/var/www/vol2/archive/years.txt"
in_root chown -R www-data:www-data /var/www /var/lib/webapp /usr/share/webapp-counter
in_root chown root:www-data /etc/webapp/ToMail.conf
chmod 0640 "$root/etc/webapp/ToMail.conf"
chmod 0700 "$root/mnt/backup"
find "$root/var/www" "$root/var/lib/webapp" "$root/usr/share/webapp-counter" "$root/usr/lib/cgi-bin" \
	-exec touch -h -d "@$site" {} +

# The search index. It carries the day and the host of its making, which are replaced, and a log of it, which is dropped.
index="$root/var/lib/namazu/index"
mkdir -p "$index"
rm -f "$index"/*
in_root PERL_HASH_SEED=0 mknmz --quiet --no-encode-uri --replace='s#^/var/www/html/#/#' --allow='.*\.html' \
	--deny='entry\.html|.*\.php' --exclude='/parts/|/uploads/' --output-dir=/var/lib/namazu/index /var/www/html 2>&1 |
	grep -v -e "^Redundant argument" -e "^Useless use" || :
[ -s "$index/NMZ.i" ] || { echo "60-webserver: mknmz made no index (above)" >&2; exit 1; }
rm -f "$index"/NMZ.lock* "$index"/NMZ.log "$index"/NMZ.status
sed -i -e 's/\(<!-- DATE -->\).*\(<!-- DATE -->\)/\1 2008-06-01 \2/' \
	-e 's/webmaster@[A-Za-z0-9.-]*/webmaster@server.example/g' "$index"/NMZ.head* "$index"/NMZ.foot* "$index"/NMZ.body*
sed -i 's/^## indexed: .*/## indexed: Sun, 01 Jun 2008 00:00:00 +0000/' "$index/NMZ.r"
: > "$root/var/lib/namazu/index/NMZ.slog"
in_root chown www-data:www-data /var/lib/namazu/index/NMZ.slog
chmod 0644 "$root/var/lib/namazu/index/NMZ.slog"
find "$root/var/lib/namazu" -exec touch -h -d "@$site" {} +
printf 'Index /var/lib/namazu/index\nTemplate /var/lib/namazu/index\nLang en\nLogging on\n' > "$root/usr/lib/cgi-bin/.namazurc"

# What /usr/lib/ccs-lab/site-reset puts back.
pristine="$root/usr/share/webapp/pristine"
rm -rf "$pristine"
for tree in var/www var/lib/webapp usr/share/webapp-counter usr/lib/cgi-bin; do
	mkdir -p "$pristine/${tree%/*}"
	cp -a "$root/$tree" "$pristine/$tree"
done
chmod 0700 "$pristine"

# Mail: no chroot to fill at each start, and the queues that postfix' start scripts would make are made here (see
# postfix.service of the overlay; "postfix check" needs a network interface, which a build has not).
in_root postconf -F '*/*/chroot = n'
in_root install -d -o postfix -g root -m 0700 /var/spool/postfix/hold /var/spool/postfix/trace
mkdir -p "$root/etc/systemd/system-generators"
ln -sf /dev/null "$root/etc/systemd/system-generators/postfix-instance-generator"

# Services.
for unit in apache2 postfix cron; do
	in_root systemctl --quiet enable $unit.service
done
chmod 0644 "$root"/etc/cron.d/ccs-logwatch "$root"/etc/cron.d/webapp-backup
rm -f "$root/etc/cron.d/php" "$root/etc/cron.d/e2scrub_all" "$root/etc/cron.daily/apache2"
