# SPDX-License-Identifier: GPL-2.0-only
# What the forms of this site share: reading a request, answering it.
package webform;
use strict;
use warnings;

# The parameters of the query and, for a POST, of the body.
sub parameters {
    my $raw = $ENV{QUERY_STRING} // '';
    if (($ENV{REQUEST_METHOD} // 'GET') eq 'POST') {
        my $length = $ENV{CONTENT_LENGTH} || 0;
        $length = 65536 if $length > 65536;
        read(STDIN, my $body, $length);
        $raw .= ($raw eq '' ? '' : '&') . ($body // '');
    }
    my %values;
    for my $pair (split /&/, $raw) {
        my ($name, $value) = split /=/, $pair, 2;
        next unless defined $name && $name ne '';
        $value //= '';
        for ($name, $value) { tr/+/ /; s/%([0-9a-fA-F]{2})/chr hex $1/ge; }
        $values{$name} = $value;
    }
    return \%values;
}

sub escape {
    my ($text) = @_;
    $text =~ s/&/&amp;/g; $text =~ s/</&lt;/g; $text =~ s/>/&gt;/g;
    return $text;
}

# Answer with a page and end.
sub answer {
    my ($status, $title, $body) = @_;
    print "Status: $status\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n";
    print "<!DOCTYPE html>\n<html><head><title>$title</title></head>\n<body><h1>$title</h1>\n$body</body></html>\n";
    exit 0;
}

# The status that the reason in $! deserves: what is refused is not what is missing.
sub refusal {
    return ($!{EPERM} || $!{EACCES}) ? '403 Forbidden' : $!{ENOENT} ? '404 Not Found' : '500 Internal Server Error';
}

1;
