<?php
// SPDX-License-Identifier: GPL-2.0-only
// Shows one of the texts in parts/.
$part = $_GET['part'] ?? 'meeting.html';
// MISTAKE, meant: the name may climb out of the directory, and include runs what it finds.
$path = '/var/www/html/parts/' . $part;
if (!@fopen($path, 'r')) {
	http_response_code(str_contains(error_get_last()['message'], 'No such file') ? 404 : 403);
	exit("<p>Not available.</p>\n");
}
echo "<!DOCTYPE html>\n<html><head><title>View</title></head>\n<body>\n";
include $path;
echo "</body></html>\n";
