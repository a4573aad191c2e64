<?php
// SPDX-License-Identifier: GPL-2.0-only
// A poll: shows the figures, and counts a vote.
$base = new SQLite3('/var/lib/webapp/poll.sqlite');
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
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
