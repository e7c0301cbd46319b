"""Runs a command that dies with its parent: `python -I -S leash.py PARENT_PID COMMAND...`, a script of its own.

On Linux the kernel is told to kill this process when the parent's thread that started it is gone, even where the parent
was killed; the order survives `exec`. It is done here, after the fork, and not by `preexec_fn`, which is unsafe in a
parent with threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit("the parent is gone")
    os.execvp(command[0], command)
