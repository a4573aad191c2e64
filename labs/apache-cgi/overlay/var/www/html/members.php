<?php
// SPDX-License-Identifier: GPL-2.0-only
// The members' list, from a small database.
$base = new SQLite3('/var/lib/webapp/members.sqlite', SQLITE3_OPEN_READONLY);
$select = $base->prepare('SELECT name, company FROM members WHERE public = 1 AND (:c = "" OR company = :c) ORDER BY name');
$select->bindValue(':c', $_GET['company'] ?? '');
$rows = $select->execute();
echo "<!DOCTYPE html>\n<html><head><title>Members</title></head>\n<body><h1>Members</h1>\n";
while ($row = $rows->fetchArray(SQLITE3_ASSOC)) {
	echo '<p>', htmlspecialchars($row['name']), ', ', htmlspecialchars($row['company']), "</p>\n";
}
echo "</body></html>\n";
