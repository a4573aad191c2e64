// SPDX-License-Identifier: GPL-2.0-only
/*
 * Called by the kernel while /sbin/init waits: nothing may be mounted, nothing can be asked of an
 * environment, and whoever might answer a question may not be there.
 *
 * The kernel goes on whatever we return, and panics if profile 0 is missing.  So every way out of here
 * leaves either the checked policy or load_nothing() in the kernel.
 */

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot.h"

#define MAX_SHOWN 20 /* findings of one kind on a console of 25 lines */

static const char *mounted[4];
static size_t mounts;
static int console = -1, kmsg = -1;

/*
 * To the console, and to the kernel's log at a level that does not come back to the console.  Each
 * write(2) is a record of that log (and of its rate limit), and dprintf() may take several.
 */
void say(const char *fmt, ...)
{
	char record[1024];
	va_list args;
	char *text;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = must(NULL);
	va_end(args);
	if (console >= 0)
		dprintf(console, "CCS: %s\r\n", text);
	if (kmsg >= 0 && snprintf(record, sizeof(record), "<%d>CCS: %.900s", console >= 0 ? 7 : 4, text) > 0)
		(void)!write(kmsg, record, strlen(record));
	free(text);
}

/* Mount what is missing; unmount_all() takes away what was mounted here and nothing else. */
static bool provide(const char *type, const char *directory, const char *probe)
{
	if (!access(probe, F_OK))
		return true;
	if (mount(type, directory, type, MS_NOSUID | MS_NOEXEC | (strcmp(type, "devtmpfs") ? MS_NODEV : 0),
		  NULL))
		return false;
	mounted[mounts++] = directory;
	return !access(probe, F_OK);
}

static void unmount_all(void)
{
	while (mounts)
		umount2(mounted[--mounts], MNT_DETACH);
}

/* The kernel starts us without descriptors 0 to 2; they stay free for the hook's. */
static int open_high(const char *path, int flags)
{
	int low = open(path, flags | O_NOCTTY | O_CLOEXEC);
	int high = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, 3);

	if (low >= 0)
		close(low);
	return high;
}

static void open_console(void)
{
	provide("devtmpfs", "/dev", "/dev/console");
	console = open_high("/dev/console", O_RDWR);
	kmsg = open_high("/dev/kmsg", O_WRONLY);
}

static const char *find_interface(void)
{
	if (!access("/proc/ccs/domain_policy", F_OK))
		return "/proc/ccs";
	if (provide("sysfs", "/sys", "/sys/kernel/security") &&
	    provide("securityfs", "/sys/kernel/security", "/sys/kernel/security/tomoyo/domain_policy"))
		return "/sys/kernel/security/tomoyo";
	return NULL;
}

/* CCS= wins over TOMOYO=; the last of several counts, as for the kernel's own parameters. */
static void parse_command_line(struct parameters *parameters)
{
	char *line = slurp("/proc/cmdline", NULL);
	char *rest = line, *word, *tomoyo = NULL;

	memset(parameters, 0, sizeof(*parameters));
	parameters->limit_s = 30;
	while ((word = strsep(&rest, " \n"))) {
		unsigned int seconds;

		if (starts(word, "CCS="))
			parameters->choice = word + strlen("CCS=");
		else if (starts(word, "TOMOYO="))
			tomoyo = word + strlen("TOMOYO=");
		else if (!strcmp(word, "CCS_NOLOAD") || !strcmp(word, "TOMOYO_NOLOAD"))
			parameters->noload = true;
		else if (sscanf(word, "CCS_limit=%u", &seconds) == 1 && seconds >= 1 && seconds <= 600)
			parameters->limit_s = seconds;
	}
	if (!parameters->choice)
		parameters->choice = tomoyo ? tomoyo : "default";
	/* The line stays allocated: the choice points into it. */
}

static void show(const struct findings *findings, enum severity severity)
{
	size_t shown = 0, left = 0;

	for (size_t i = 0; i < findings->count; i++) {
		if (findings->list[i].severity != severity)
			continue;
		if (shown < MAX_SHOWN) {
			say("%s: %s", severity == ERROR ? "error" : "warning", findings->list[i].text);
			shown++;
		} else {
			left++;
		}
	}
	if (left)
		say("... and %zu more", left);
}

static int unprotected(const char *interface, const char *why)
{
	static const char stars[] = "**************************************************************";
	bool done = load_nothing(interface);

	say("%s", stars);
	say("NOT PROTECTED: %s", why);
	say("Every process runs in profile 0, disabled. Check again with: ccs-init --check");
	if (!done)
		say("and profile 0 could not be written: the kernel may stop");
	say("%s", stars);
	return 1;
}

static int load_chosen(const char *interface, const struct parameters *parameters)
{
	struct place place = { "", CCS_DIR, NULL };
	struct configuration configuration;
	struct findings findings = { 0 };
	struct loaded loaded;
	const char *choice = parameters->choice;
	char release[32];
	unsigned int version = kernel_profile_version(interface, release);

	if (!version)
		say("warning: TOMOYO %s is not a version this loader knows", release);
	if (!strcmp(choice, "ask"))
		choice = ask(console, &place, parameters->limit_s);
	if (!strcmp(choice, "disabled"))
		return unprotected(interface, "disabled was chosen");
	if (strcmp(choice, "default") && !choice_exists(&place, choice))
		say("warning: CCS=%.64s names neither a policy nor a profile in " CCS_DIR
		    "/policy: taking the default", choice);
	else if (strcmp(choice, "default"))
		place.choice = choice;

	configuration_check(&configuration, &place, version, &findings);
	show(&findings, ERROR);
	if (findings.errors)
		return unprotected(interface, "the configuration is defective, nothing of it was loaded");
	if (!load(interface, &configuration, &findings)) {
		show(&findings, ERROR);
		return unprotected(interface, "the kernel did not take the policy");
	}
	show(&findings, WARNING);
	measure(interface, &loaded);
	say("%s: %zu domains, %zu rules, %zu profiles loaded into TOMOYO %s", configuration.directory,
	    loaded.domains, loaded.rules, loaded.profiles, release);
	say("memory used by policy: %u bytes", loaded.memory_bytes);
	return 0;
}

/* The whole of a boot's loading; 0 when a policy was loaded. */
int boot(void)
{
	struct parameters parameters;
	const char *interface;
	int status = 1;

	provide("proc", "/proc", "/proc/self/exe");
	open_console();
	parse_command_line(&parameters);
	interface = find_interface();
	if (!interface) {
		say("NOT PROTECTED: neither /proc/ccs nor /sys/kernel/security/tomoyo exists"
		    " - this kernel has no TOMOYO, or lsm= leaves it out");
	} else if (already_active(interface)) {
		say("the policy is active already, nothing was changed - use ccs-loadpolicy");
	} else if (parameters.noload) {
		say("CCS_NOLOAD: no policy was loaded");
		if (profile_defined(interface, 0))
			status = 0;
		else
			status = unprotected(interface, "CCS_NOLOAD was given");
	} else {
		status = load_chosen(interface, &parameters);
		run_hook(CCS_DIR "/ccs-post-init", console, parameters.limit_s);
	}
	unmount_all();
	return status;
}
