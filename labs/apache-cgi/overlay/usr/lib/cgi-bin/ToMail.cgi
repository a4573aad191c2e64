#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
# The seminar form: stores an entry, and mails it to the webmaster and to the visitor.
use strict;
use warnings;
use Errno;
use Fcntl ':flock';
require '/usr/lib/cgi-bin/webform.pl';

my %conf;
open(my $settings, '<', '/etc/webapp/ToMail.conf') or webform::answer(webform::refusal(), 'No settings', '');
while (<$settings>) { $conf{$1} = $2 if /^(\w+)=(.*)$/ }
close $settings;

my $in = webform::parameters();
webform::answer('400 Bad Request', 'Something is missing', "<p>Name and mail address are needed.</p>\n")
    unless ($in->{name} // '') ne '' && ($in->{mail} // '') =~ /\@/;

$ENV{PATH} = '/usr/bin:/usr/sbin:/bin';
open(my $clock, '-|', '/usr/bin/date', '-u', '+%Y-%m-%d %H:%M:%S')
    or webform::answer(webform::refusal(), 'No clock', '');
chomp(my $now = <$clock> // '');
close $clock;

# The entry gets the next number; it is written aside and renamed, so that no reader sees half of one.
open(my $lock, '>>', "$conf{entries}/.lock") or webform::answer(webform::refusal(), 'Not stored', '');
flock($lock, LOCK_EX);
opendir(my $dir, $conf{entries}) or webform::answer(webform::refusal(), 'Not stored', '');
my $number = sprintf '%04d', 1 + grep { /^\d+\.txt$/ } readdir $dir;
closedir $dir;
my $temporary = "$conf{entries}/.entry.$$";
open(my $entry, '>', $temporary) or webform::answer(webform::refusal(), 'Not stored', '');
print $entry "Subject: $conf{subject} $number\nDate-Of-Entry: $now\n\n";
print $entry "$_: ", ($in->{$_} // '') =~ s/\s*\n/\n  /gr, "\n" for qw(name mail seminar comment);
close $entry;
rename($temporary, "$conf{entries}/$number.txt") or webform::answer(webform::refusal(), 'Not stored', '');
close $lock;

# What was entered, as UTF-8, for the thank-you page.
open(my $shown, '-|', '/usr/bin/nkf', '-w', '-m0', "$conf{entries}/$number.txt")
    or webform::answer(webform::refusal(), 'Not shown', '');
my $text = join '', grep { !/^Date-Of-Entry/ } <$shown>;
close $shown;

# MISTAKES, meant: the visitor's address goes to a shell unquoted, and an old feature of the form lets the page choose
# the mailer. What the mailer says is shown, because that helped in finding errors once.
my $mailer = $in->{mailer} // '/usr/sbin/sendmail';
my $said = `/usr/bin/nkf -j -m0 $conf{entries}/$number.txt | $mailer -oi -f $conf{from} $conf{to} $in->{mail} 2>&1`;
my $status = $? == 0 ? '200 OK' : '500 Internal Server Error';
webform::answer($status, $? == 0 ? "Entry $number" : "Entry $number was not mailed",
    '<pre>' . webform::escape($text) . "</pre>\n<pre>" . webform::escape($said) . "</pre>\n");
