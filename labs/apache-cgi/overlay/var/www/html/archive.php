<?php
// SPDX-License-Identifier: GPL-2.0-only
// Puts a year's news aside in archive/, once a year: nobody does while the policy is learned.
$year = preg_match('/^\d{4}$/', $_GET['year'] ?? '') ? $_GET['year'] : '2007';
$file = "/var/www/vol2/archive/$year.txt";
if (@file_put_contents($file, "News of $year\n") === false) {
	http_response_code(403);
	exit("Not archived.\n");
}
echo "Archived $year.\n";
