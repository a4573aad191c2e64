// SPDX-License-Identifier: GPL-2.0-only
/*
 * mountcalls - do one mount operation by the old or by the new system calls.
 *
 *	mountcalls old|new mount SOURCE DIR TYPE FLAGS [OPTION...]
 *	mountcalls old|new bind|rbind SOURCE DIR
 *	mountcalls old|new move DIR NEWDIR
 *	mountcalls old|new remount DIR FLAGS [OPTION...]
 *	mountcalls old|new change DIR FLAGS
 *	mountcalls old|new shared|private|slave|unbindable DIR [all]
 *	mountcalls old|new umount DIR
 *
 * FLAGS is a number as mount(2) takes it (MS_*); SOURCE "-" is no source at
 * all; an OPTION is a key or a key=value for the filesystem. Prints "OK" and
 * exits 0, or prints "ERRNO EPERM" (or another name) and exits 1; which call
 * failed is on stderr. Wrong arguments exit 2.
 *
 * Builds with gcc -static -Os, also with -m32. The new calls are made by
 * number, for not every libc has wrappers for them; they have the same numbers
 * on all architectures.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* System calls, from the kernel's include/uapi/asm-generic/unistd.h */
enum {
	NR_OPEN_TREE = 428,
	NR_MOVE_MOUNT,
	NR_FSOPEN,
	NR_FSCONFIG,
	NR_FSMOUNT,
	NR_FSPICK,
	NR_MOUNT_SETATTR = 442,
};

/* Their arguments, from the kernel's include/uapi/linux/mount.h */
enum {
	OPEN_TREE_CLONE_FLAG = 1,
	AT_RECURSIVE_FLAG = 0x8000,
	MOVE_FROM_EMPTY_PATH = 4,
	SET_FLAG = 0,
	SET_STRING = 1,
	CMD_CREATE = 6,
	CMD_RECONFIGURE = 7,
	ATTR_RDONLY = 0x1,
	ATTR_NOSUID = 0x2,
	ATTR_NODEV = 0x4,
	ATTR_NOEXEC = 0x8,
	ATTR_NOATIME = 0x10,
	ATTR_STRICTATIME = 0x20,
	ATTR_ATIME = 0x70,
	ATTR_NODIRATIME = 0x80,
	ATTR_NOSYMFOLLOW = 0x200000,
};

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
#ifndef MS_LAZYTIME
#define MS_LAZYTIME (1 << 25)
#endif

/* What mount(2) has in one word, fsmount() takes as attributes ... */
static const struct {
	unsigned long ms;
	unsigned int attr;
} attributes[] = {
	{ MS_RDONLY, ATTR_RDONLY },
	{ MS_NOSUID, ATTR_NOSUID },
	{ MS_NODEV, ATTR_NODEV },
	{ MS_NOEXEC, ATTR_NOEXEC },
	{ MS_NOATIME, ATTR_NOATIME },
	{ MS_STRICTATIME, ATTR_STRICTATIME },
	{ MS_NODIRATIME, ATTR_NODIRATIME },
	{ MS_NOSYMFOLLOW, ATTR_NOSYMFOLLOW },
};

/* ... and fsconfig() as options, which have to be taken back by name. */
static const struct {
	unsigned long ms;
	const char *on;
	const char *off;
} options[] = {
	{ MS_RDONLY, "ro", "rw" },
	{ MS_SYNCHRONOUS, "sync", "async" },
	{ MS_DIRSYNC, "dirsync", NULL },
	{ MS_MANDLOCK, "mand", "nomand" },
	{ MS_LAZYTIME, "lazytime", "nolazytime" },
};

static const struct {
	const char *name;
	unsigned long ms;
} propagations[] = {
	{ "shared", MS_SHARED },
	{ "private", MS_PRIVATE },
	{ "slave", MS_SLAVE },
	{ "unbindable", MS_UNBINDABLE },
};

static const struct {
	int number;
	const char *name;
} errors[] = {
#define E(name) { name, #name }
	E(EPERM), E(ENOENT), E(EIO), E(ENXIO), E(EBADF), E(ENOMEM), E(EACCES),
	E(ENOTBLK), E(EBUSY), E(EEXIST), E(EXDEV), E(ENODEV), E(ENOTDIR),
	E(EISDIR), E(EINVAL), E(EMFILE), E(ENOSPC), E(EROFS), E(ELOOP),
	E(ENOSYS), E(ENAMETOOLONG), E(EOPNOTSUPP), E(ENODATA), E(EMSGSIZE),
#undef E
};

static int usage(void)
{
	fputs("usage: mountcalls old|new mount SOURCE DIR TYPE FLAGS [OPTION...]\n"
	      "       mountcalls old|new bind|rbind SOURCE DIR\n"
	      "       mountcalls old|new move DIR NEWDIR\n"
	      "       mountcalls old|new remount DIR FLAGS [OPTION...]\n"
	      "       mountcalls old|new change DIR FLAGS\n"
	      "       mountcalls old|new shared|private|slave|unbindable DIR [all]\n"
	      "       mountcalls old|new umount DIR\n", stderr);
	return 2;
}

/* Tells which call failed without losing errno. */
static int failed(const char *call)
{
	const int saved = errno;

	fprintf(stderr, "mountcalls: %s: %s\n", call, strerror(saved));
	errno = saved;
	return -1;
}

/* Makes the comma-separated data of mount(2); NULL if there is no option. */
static char *join(char **option)
{
	size_t size = 1;
	char *data;
	int i;

	for (i = 0; option[i]; i++)
		size += strlen(option[i]) + 1;
	if (!i)
		return NULL;
	data = calloc(1, size);
	for (i = 0; data && option[i]; i++) {
		if (i)
			strcat(data, ",");
		strcat(data, option[i]);
	}
	return data;
}

static int do_old_mount(const char *source, const char *dir, const char *type,
			unsigned long flags, char **option)
{
	if (mount(source, dir, type, flags, join(option)))
		return failed("mount");
	return 0;
}

static int configure(int fs, unsigned int command, const char *key,
		     const char *value)
{
	if (syscall(NR_FSCONFIG, fs, command, key, value, 0))
		return failed(key ? key : "fsconfig");
	return 0;
}

/* Sets superblock flags and options; takes back flags if @all. */
static int set_options(int fs, unsigned long flags, int all, char **option)
{
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		const char *key = flags & options[i].ms ? options[i].on :
				  all ? options[i].off : NULL;

		if (key && configure(fs, SET_FLAG, key, NULL))
			return -1;
	}
	for (; *option; option++) {
		char *value = strchr(*option, '=');

		if (value)
			*value++ = '\0';
		if (configure(fs, value ? SET_STRING : SET_FLAG, *option, value))
			return -1;
	}
	return 0;
}

/* Attaches a detached mount, or moves an attached one which @from is open on. */
static int attach(int from, const char *dir)
{
	if (syscall(NR_MOVE_MOUNT, from, "", AT_FDCWD, dir, MOVE_FROM_EMPTY_PATH))
		return failed("move_mount");
	return 0;
}

/* What mount(2) calls MS_*, as fsmount() and mount_setattr() take it. */
static unsigned int attributes_of(unsigned long flags)
{
	unsigned int attr = 0;
	size_t i;

	for (i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++)
		if (flags & attributes[i].ms)
			attr |= attributes[i].attr;
	return attr;
}

static int set_attributes(const char *dir, int recursive,
			  unsigned long long set, unsigned long long clear,
			  unsigned long long propagation)
{
	const struct {
		unsigned long long set, clear, propagation, userns;
	} attr = { set, clear, propagation, 0 };

	if (syscall(NR_MOUNT_SETATTR, AT_FDCWD, dir,
		    recursive ? AT_RECURSIVE_FLAG : 0, &attr, sizeof(attr)))
		return failed("mount_setattr");
	return 0;
}

/* As mount(2) does: all flags, but those for atime only if one is there. */
static int do_new_change(const char *dir, unsigned long flags)
{
	const unsigned int set = attributes_of(flags);
	const unsigned int atime = ATTR_NOATIME | ATTR_STRICTATIME;
	unsigned int clear = attributes_of(~0UL) & ~atime;

	if (set & atime)
		clear |= ATTR_ATIME;
	return set_attributes(dir, 0, set, clear, 0);
}

static int do_propagate(int new, const char *what, const char *dir, int all)
{
	size_t i;

	for (i = 0; i < sizeof(propagations) / sizeof(propagations[0]); i++) {
		const unsigned long ms = propagations[i].ms;

		if (strcmp(what, propagations[i].name))
			continue;
		if (new)
			return set_attributes(dir, all, 0, 0, ms);
		return mount(NULL, dir, NULL, ms | (all ? MS_REC : 0), NULL) ?
			failed("mount") : 0;
	}
	exit(usage());
}

static int do_new_mount(const char *source, const char *dir, const char *type,
			unsigned long flags, char **option)
{
	const unsigned int attr = attributes_of(flags);
	int fs, mnt;

	fs = syscall(NR_FSOPEN, type, 0);
	if (fs < 0)
		return failed("fsopen");
	if (source && configure(fs, SET_STRING, "source", source))
		return -1;
	if (set_options(fs, flags, 0, option) ||
	    configure(fs, CMD_CREATE, NULL, NULL))
		return -1;
	mnt = syscall(NR_FSMOUNT, fs, 0, attr);
	if (mnt < 0)
		return failed("fsmount");
	return attach(mnt, dir);
}

static int do_new_bind(const char *source, const char *dir, int recursive)
{
	const int mnt = syscall(NR_OPEN_TREE, AT_FDCWD, source,
				OPEN_TREE_CLONE_FLAG |
				(recursive ? AT_RECURSIVE_FLAG : 0));

	if (mnt < 0)
		return failed("open_tree");
	return attach(mnt, dir);
}

static int do_new_move(const char *dir, const char *newdir)
{
	if (syscall(NR_MOVE_MOUNT, AT_FDCWD, dir, AT_FDCWD, newdir, 0))
		return failed("move_mount");
	return 0;
}

/*
 * Changes the superblock only, as far as the new calls go: flags of the mount
 * itself are mount_setattr()'s business.
 */
static int do_new_remount(const char *dir, unsigned long flags, char **option)
{
	const int fs = syscall(NR_FSPICK, AT_FDCWD, dir, 0);

	if (fs < 0)
		return failed("fspick");
	if (set_options(fs, flags & ~MS_DIRSYNC, 1, option))
		return -1;
	return configure(fs, CMD_RECONFIGURE, NULL, NULL);
}

/* Returns the number; anything else ends the program. */
static unsigned long number(const char *text)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 0);
	if (errno || end == text || *end) {
		fprintf(stderr, "mountcalls: FLAGS is a number, not \"%s\"\n", text);
		exit(2);
	}
	return value;
}

static void report(int error)
{
	size_t i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].number == error) {
			printf("ERRNO %s\n", errors[i].name);
			return;
		}
	printf("ERRNO %d\n", error);
}

int main(int argc, char *argv[])
{
	static char *none[] = { NULL };
	const char *how, *what;
	int new, count, result;
	char **arg;

	if (argc < 3)
		return usage();
	how = argv[1];
	what = argv[2];
	arg = argv + 3;
	count = argc - 3;
	new = !strcmp(how, "new");
	if (!new && strcmp(how, "old"))
		return usage();

	if (!strcmp(what, "mount") && count >= 4) {
		const char *source = strcmp(arg[0], "-") ? arg[0] : NULL;

		result = (new ? do_new_mount : do_old_mount)
			(source, arg[1], arg[2], number(arg[3]), arg + 4);
	} else if ((!strcmp(what, "bind") || !strcmp(what, "rbind")) && count == 2) {
		const int recursive = *what == 'r';

		result = new ? do_new_bind(arg[0], arg[1], recursive) :
			do_old_mount(arg[0], arg[1], NULL,
				     MS_BIND | (recursive ? MS_REC : 0), none);
	} else if (!strcmp(what, "move") && count == 2) {
		result = new ? do_new_move(arg[0], arg[1]) :
			do_old_mount(arg[0], arg[1], NULL, MS_MOVE, none);
	} else if (!strcmp(what, "remount") && count >= 2) {
		const unsigned long flags = number(arg[1]);

		result = new ? do_new_remount(arg[0], flags, arg + 2) :
			do_old_mount(NULL, arg[0], NULL, MS_REMOUNT | flags, arg + 2);
	} else if (!strcmp(what, "change") && count == 2) {
		const unsigned long flags = number(arg[1]);

		result = new ? do_new_change(arg[0], flags) :
			do_old_mount(NULL, arg[0], NULL,
				     MS_REMOUNT | MS_BIND | flags, none);
	} else if (!strcmp(what, "umount") && count == 1) {
		/* There is no new call for this. */
		result = umount2(arg[0], 0) ? failed("umount2") : 0;
	} else if (count == 1) {
		result = do_propagate(new, what, arg[0], 0);
	} else if (count == 2 && !strcmp(arg[1], "all")) {
		result = do_propagate(new, what, arg[0], 1);
	} else {
		return usage();
	}
	if (result) {
		report(errno);
		return 1;
	}
	puts("OK");
	return 0;
}
