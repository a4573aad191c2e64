<?php
// SPDX-License-Identifier: GPL-2.0-only
// Notes in the archive that a year's news were put aside, once a year: nobody does while the policy is learned.
$year = preg_match('/^\d{4}$/', $_GET['year'] ?? '') ? $_GET['year'] : '2007';
if (@file_put_contents('/var/www/vol2/archive/years.txt', "$year\n", FILE_APPEND) === false) {
	http_response_code(403);
	exit("Not archived.\n");
}
echo "Archived $year.\n";
