#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
echo "uploaded script runs as $(id -un)"
