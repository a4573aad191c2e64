#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
# The picture desk's scratch disk: attaches and detaches a tmpfs through the site's suid tool.
use strict;
use warnings;
use Errno;
require '/usr/lib/cgi-bin/webform.pl';

my $in = webform::parameters();
my $op = $in->{op} // 'list';
# MISTAKE, meant: the page sends where, what and how, and the tool believes it.
my $at = $in->{at} // '/srv/media/scratch';
my $source = $in->{source} // 'tmpfs';
my $api = ($in->{api} // 'old') eq 'new' ? 'new' : 'old';
my $kind = ($in->{kind} // 'tmpfs') eq 'bind' ? 'bind' : 'tmpfs';

if ($op eq 'list') {
    open(my $mounts, '<', '/proc/self/mounts') or webform::answer(webform::refusal(), 'No list', '');
    my @media = grep { m{ /srv/media/} } <$mounts>;
    webform::answer('200 OK', 'Media', '<p>' . scalar(@media) . " attached</p>\n");
}
my @command = $op eq 'attach' ? ('attach', $api, $kind, $source, $at) : $op eq 'detach' ? ('detach', $at) : ();
webform::answer('400 Bad Request', 'No such operation', '') unless @command;
my $status = system('/usr/local/sbin/mediactl', @command);
webform::answer($status == 0 ? '200 OK' : '500 Internal Server Error', $status == 0 ? 'Done' : 'Not done',
    '<p>' . webform::escape("$op $at") . "</p>\n");
