// SPDX-License-Identifier: GPL-2.0-only
/*
 * mediactl: attaches and detaches media for people (and CGIs) that may not mount. Installed suid root.
 *
 *	mediactl attach old|new tmpfs|bind SOURCE TARGET
 *	mediactl detach TARGET
 *
 * "old" is mount(2); "new" is fsopen/fsconfig/fsmount/move_mount, or open_tree/move_mount for a bind. It trusts its
 * caller with the target: a mistake, meant, that a mount policy has to make up for.
 *
 * Exit status: 0 done, 1 the kernel refused, 2 usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Declared here because <sys/mount.h> and <linux/mount.h> do not go together in every libc. */
extern int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
extern int umount2(const char *target, int flags);

#define OLD_BIND 4096 /* MS_BIND */

static int refused(const char *what)
{
	fprintf(stderr, "mediactl: %s: %s\n", what, strerror(errno));
	return 1;
}

static int attach_old(const char *kind, const char *source, const char *target)
{
	if (!strcmp(kind, "bind")) {
		if (mount(source, target, NULL, OLD_BIND, NULL))
			return refused("mount");
	} else if (mount(source, target, kind, 0, NULL)) {
		return refused("mount");
	}
	return 0;
}

static int attach_new(const char *kind, const char *source, const char *target)
{
	int tree;

	if (!strcmp(kind, "bind")) {
		tree = syscall(SYS_open_tree, AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (tree < 0)
			return refused("open_tree");
	} else {
		int fs = syscall(SYS_fsopen, kind, FSOPEN_CLOEXEC);

		if (fs < 0)
			return refused("fsopen");
		if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", source, 0) ||
		    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
			return refused("fsconfig");
		tree = syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
		if (tree < 0)
			return refused("fsmount");
		close(fs);
	}
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH))
		return refused("move_mount");
	return 0;
}

int main(int argc, char *argv[])
{
	if (argc == 6 && !strcmp(argv[1], "attach") && (!strcmp(argv[3], "tmpfs") || !strcmp(argv[3], "bind"))) {
		if (!strcmp(argv[2], "old"))
			return attach_old(argv[3], argv[4], argv[5]);
		if (!strcmp(argv[2], "new"))
			return attach_new(argv[3], argv[4], argv[5]);
	}
	if (argc == 3 && !strcmp(argv[1], "detach")) {
		if (umount2(argv[2], 0))
			return refused("umount");
		return 0;
	}
	fprintf(stderr, "usage: mediactl attach old|new tmpfs|bind SOURCE TARGET\n"
			"       mediactl detach TARGET\n");
	return 2;
}
