<?php
// SPDX-License-Identifier: GPL-2.0-only
// A page with a home-made cache: written aside, linked into place, and pointed to by a symbolic link.
$cache = '/var/www/vol2/cache';
$month = preg_match('/^\d{1,2}$/', $_GET['month'] ?? '') ? (int)$_GET['month'] : 1;
$kept = "$cache/month-$month.html";
$text = @file_get_contents($kept);
if ($text === false) {
	$text = "<p>Meetings of month $month: the first Monday.</p>\n";
	$aside = tempnam($cache, 'tmp_');
	if ($aside === false || file_put_contents($aside, $text) === false || !link($aside, $kept)) {
		http_response_code(500);
		exit("Not kept.\n");
	}
	unlink($aside);
	@unlink("$cache/latest.html");
	symlink("month-$month.html", "$cache/latest.html");
}
echo "<!DOCTYPE html>\n<html><body>\n", $text, "</body></html>\n";
