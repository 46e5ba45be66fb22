"""Runs a target as the services do: $OUT moved to a random place and read-only, nothing writable but /tmp, no /dev.

As root this is a mount namespace of its own. Without root only $OUT is read-only, and `confined` says so.
"""
import os
import secrets
import shutil
import stat
import subprocess
import tempfile

from . import service

# /proc/self/mounts is read before anything changes; what cannot be remounted (pseudo filesystems) stays.
ENTER = r"""
mount --bind "$JAIL_TMP" /tmp
while read -r _ point type _; do
  case "$point" in /tmp|/proc*|/sys*|/dev*) continue ;; esac
  mount -o remount,bind,ro "$point" 2>/dev/null
done < /proc/self/mounts
mount --bind "$JAIL_OUT" "$JAIL_OUT" && mount -o remount,bind,ro "$JAIL_OUT"
[ -n "$JAIL_DEV" ] || mount --bind /tmp/no-dev /dev
cd /
exec env -i "$@"
"""


class Jail:
    def __init__(self, out):
        self.root = tempfile.mkdtemp(prefix="oss-fuzz-check-")
        self.tmp = os.path.join(self.root, "tmp")
        os.makedirs(os.path.join(self.tmp, "no-dev"))
        self.confined = subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
        self.shown = "/tmp" if self.confined else self.tmp  # where the target sees `tmp`
        inside = os.path.join("not-out", secrets.token_hex(4))
        self.out = os.path.join(self.tmp, inside)
        self.shown_out = os.path.join(self.shown, inside)
        shutil.copytree(out, self.out)
        for folder, _, names in os.walk(self.out, topdown=False):
            for name in names:
                os.chmod(os.path.join(folder, name), os.stat(os.path.join(folder, name)).st_mode & 0o555)
            os.chmod(folder, 0o555)

    def path(self, name):
        """(here, as the target sees it)"""
        return os.path.join(self.tmp, name), os.path.join(self.shown, name)

    def run(self, program, *arguments, more=None, options="", wrap=(), seconds=300, dev=False):
        """Exit code and output. `options` is appended to the *SAN_OPTIONS, as .options files are; `dev` leaves /dev."""
        environment = dict(service.RUN, **(more or {}))
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "MSAN_OPTIONS"):
            environment[name] += ":" + options if options else ""
        command = [f"{name}={value}" for name, value in environment.items()]
        command += [*wrap, os.path.join(self.shown_out, program), *arguments]
        if self.confined:
            command = ["unshare", "-m", "--propagation", "private", "bash", "-c", ENTER, "jail", *command]
        else:
            command = ["env", "-i", *command]
        outside = dict(os.environ, JAIL_TMP=self.tmp, JAIL_OUT=self.shown_out, JAIL_DEV="1" if dev else "")
        try:
            done = subprocess.run(command, env=outside, cwd=self.tmp, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=seconds, check=False)
        except subprocess.TimeoutExpired as late:
            return 124, (late.stdout or b"").decode(errors="replace") + f"\nstill running after {seconds} s"
        return done.returncode, done.stdout.decode(errors="replace")

    def close(self):
        for folder, _, _ in os.walk(self.out):
            os.chmod(folder, stat.S_IRWXU)
        shutil.rmtree(self.root, ignore_errors=True)
