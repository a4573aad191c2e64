#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
# "A CGI for many purposes" that its author forgot: no page links to it, and nobody uses it while learning. ?do= chooses:
# host (runs uname), memo (appends ?text= to a file below /var/tmp), disk (runs df).
use strict;
use warnings;
use Errno;
require '/usr/lib/cgi-bin/webform.pl';

my $in = webform::parameters();
my $do = $in->{do} // 'host';
my $memo = '/var/tmp/multi.memo';

sub said {
    open(my $program, '-|', @_) or webform::answer(webform::refusal(), 'Not run', '');
    my $text = join '', <$program>;
    close $program;
    return '<pre>' . webform::escape($text) . "</pre>\n";
}

webform::answer('200 OK', 'Host', said('/usr/bin/uname', '-s', '-n')) if $do eq 'host';
if ($do eq 'memo') {
    open(my $file, '>>', $memo) or webform::answer(webform::refusal(), 'No memo', '');
    print $file ($in->{text} // '') =~ s/\n/ /gr, "\n";
    close $file;
    webform::answer('200 OK', 'Memo', said('/usr/bin/tail', '-n', '1', $memo));
}
webform::answer('200 OK', 'Disk', said('/usr/bin/df', '--output=target', '/')) if $do eq 'disk';
webform::answer('400 Bad Request', 'No such purpose', '');
