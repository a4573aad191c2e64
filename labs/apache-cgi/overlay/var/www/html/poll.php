<?php
// SPDX-License-Identifier: GPL-2.0-only
// A poll: shows the figures, and counts a vote.
$base = new SQLite3('/var/lib/webapp/poll.sqlite');
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
	// Every ballot gets a number that nobody can guess. (Read here, and not left to SQLite, which opens the device once
	// in the life of a process: whether a request needs it must not depend on which process serves it.)
	$device = fopen('/dev/urandom', 'rb');
	$base->exec("INSERT INTO ballots VALUES ('" . bin2hex(fread($device, 8)) . "')");
	// MISTAKE, meant: the choice becomes part of the statement, and exec() takes more than one.
	if (!@$base->exec("UPDATE poll SET votes = votes + 1 WHERE choice = '" . ($_POST['choice'] ?? '') . "'")) {
		http_response_code(500);
		exit("Not counted.\n");
	}
}
header('Content-Type: text/plain');
$rows = $base->query('SELECT choice, votes FROM poll ORDER BY choice');
while ($row = $rows->fetchArray(SQLITE3_ASSOC)) {
	echo $row['choice'], ': ', $row['votes'], "\n";
}
