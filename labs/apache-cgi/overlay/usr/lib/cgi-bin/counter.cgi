#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
# The access counter: one file a page. It keeps its figures below /usr/share, where no CGI should write: the oddity
# that reading a learned policy brings to light (2008 report, note 3).
use strict;
use warnings;
use Errno;
use Fcntl qw(:flock :seek);
require '/usr/lib/cgi-bin/webform.pl';

my ($page) = (webform::parameters()->{page} // 'top') =~ /^(\w+)$/
    or webform::answer('400 Bad Request', 'No such counter', '');
open(my $file, '+>>', "/usr/share/webapp-counter/$page.count") or webform::answer(webform::refusal(), 'No counter', '');
flock($file, LOCK_EX);
seek($file, 0, SEEK_SET);
my $count = 1 + (<$file> // 0);
seek($file, 0, SEEK_SET);
truncate($file, 0);
print $file "$count\n";
close $file;
webform::answer('200 OK', 'Counter', "<p>You are visitor $count.</p>\n");
