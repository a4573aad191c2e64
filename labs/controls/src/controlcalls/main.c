// SPDX-License-Identifier: GPL-2.0-only
/*
 * controlcalls - do one thing that a control of TOMOYO guards, and say what came of it.
 *
 *	controlcalls CALL
 *	controlcalls target		(what signals are sent to; started by the others)
 *
 * Prints "OK" if the call did what it is for, "NEXT" if it did so for the second who came, as the first was turned away,
 * "ERRNO EPERM" (or another name) if it failed, and "LIED ..." if what it returned is not what happened. CALLs that only a
 * valid image or module can make succeed are given none: what the kernel says of it then (ENOEXEC) tells that it was
 * looked at. Nothing is done to the machine that the next call could not undo or that matters.
 */
#include "controlcalls.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *said = "OK";

static const struct call *const all[] = { system_calls, signal_calls, network_calls, newer_calls, ring_calls };

static const struct {
	int number;
	const char *name;
} errors[] = {
	{ EPERM, "EPERM" },	  { ENOEXEC, "ENOEXEC" }, { ENOENT, "ENOENT" },
	{ EINVAL, "EINVAL" },	  { ENOSYS, "ENOSYS" },	  { EAGAIN, "EAGAIN" },
};

/* Not by stdio, which may look at what it writes to first: that is a control of its own. */
static void tell(const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (write(STDOUT_FILENO, line, strlen(line)) < 0)
		exit(2);
}

void lied(const char *what)
{
	tell("LIED %s\n", what);
	exit(1);
}

static int say(int result)
{
	if (result >= 0) {
		tell("%s\n", said);
		return 0;
	}
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (errno == errors[i].number)
			return tell("ERRNO %s\n", errors[i].name), 1;
	tell("ERRNO %d %s\n", errno, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "target"))
		return target();
	for (size_t i = 0; argc == 2 && i < sizeof(all) / sizeof(*all); i++)
		for (const struct call *call = all[i]; call->name; call++)
			if (!strcmp(argv[1], call->name))
				return say(call->run());
	fputs("usage: controlcalls CALL\n", stderr);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		for (const struct call *call = all[i]; call->name; call++)
			fprintf(stderr, "\t%s\n", call->name);
	return 2;
}
