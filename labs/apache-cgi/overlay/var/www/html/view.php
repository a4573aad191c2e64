<?php
// SPDX-License-Identifier: GPL-2.0-only
// Shows one of the texts in parts/.
$part = $_GET['part'] ?? 'meeting.html';
// MISTAKE, meant: the name may climb out of the directory, and include runs what it finds.
ob_start();
$found = @include '/var/www/html/parts/' . $part;
$text = ob_get_clean();
if ($found === false) {
	http_response_code(file_exists('/var/www/html/parts/' . $part) ? 403 : 404);
	$text = "<p>Not available.</p>\n";
}
echo "<!DOCTYPE html>\n<html><head><title>View</title></head>\n<body>\n", $text, "</body></html>\n";
