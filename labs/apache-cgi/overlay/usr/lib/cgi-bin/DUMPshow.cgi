#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
# Shows the stored entries: all of them, or the one in ?file=, in the encoding ?code= asks nkf for.
use strict;
use warnings;
use Errno;
require '/usr/lib/cgi-bin/webform.pl';

my $entries = '/var/lib/webapp/entries';
my $in = webform::parameters();

if (!defined $in->{file}) {
    opendir(my $dir, $entries) or webform::answer(webform::refusal(), 'No entries', '');
    my @names = sort grep { /^\d+\.txt$/ } readdir $dir;
    closedir $dir;
    webform::answer('200 OK', scalar(@names) . ' entries',
        join('', map { "<p><a href=\"?file=$_\">$_</a></p>\n" } @names));
}

# MISTAKES, meant: the name may climb out of the directory, and the code may bring options of its own.
my $path = "$entries/$in->{file}";
my $code = $in->{code} // 'w';
open(my $shown, '-|', '/usr/bin/nkf', split(/ /, "-$code"), $path)
    or webform::answer(webform::refusal(), 'Not shown', '');
my @lines = grep { !/^Date-Of-Entry/ } <$shown>;
close $shown;
if ($? != 0 || !@lines) {
    # nkf does not say why: look again.
    open(my $again, '<', $path) or webform::answer(webform::refusal(), 'Not shown', '');
}
webform::answer('200 OK', 'Entry', '<pre>' . webform::escape(join '', @lines) . "</pre>\n");
