"""Runs a program that dies with its parent: `python leash.py PARENT_PID PROGRAM ARGUMENTS...`.

A luigi process that is killed with SIGKILL cannot stop its dbt, which would go on building while
the next run begins. On Linux the kernel does it: PR_SET_PDEATHSIG asks for a signal when the
parent's thread is gone, and it outlives exec. It has to be asked for in the child. Python's
`preexec_fn` would do so between fork and exec, where it can deadlock beside other threads; so this
script does it in a process of its own and then becomes the program. It imports nothing of this
package, so it costs some hundredths of a second.

Elsewhere there is no such signal, and the program is only stopped by a parent that can still act.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for the signal, then become the program."""
    parent, program, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
        if os.getppid() != int(parent):  # It died before we asked.
            raise SystemExit("the parent is gone")
    os.execvp(program, [program, *arguments])  # noqa: S606 - the caller built the arguments


if __name__ == "__main__":
    main()
