<?php
// SPDX-License-Identifier: GPL-2.0-only
// Takes a picture for the album.
$picture = $_FILES['picture'] ?? null;
if ($_SERVER['REQUEST_METHOD'] !== 'POST' || $picture === null) {
	echo '<!DOCTYPE html><form method="post" enctype="multipart/form-data"><input type="file" name="picture">'
		. '<input type="submit"></form>', "\n";
	exit;
}
// MISTAKES, meant: the browser is believed about the type, the name is kept, and the file is made executable.
if (strncmp($picture['type'], 'image/', 6) !== 0) {
	http_response_code(415);
	exit("Pictures only.\n");
}
$name = basename($picture['name']);
if (!@move_uploaded_file($picture['tmp_name'], "/var/www/html/uploads/$name")) {
	http_response_code(403);
	exit("Not stored.\n");
}
chmod("/var/www/html/uploads/$name", 0755);
echo "Stored $name, ", filesize("/var/www/html/uploads/$name"), " bytes.\n";
