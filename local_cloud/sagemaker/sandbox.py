"""Inside a container process: run the algorithm, and end with the local cloud.

``python -m local_cloud.sagemaker.sandbox MODULE ARGUMENT...`` runs MODULE as ``python -m MODULE ARGUMENT...``
would. Standard input is the lifeline: the control plane holds its other end open as long as it lives, and the
operating system closes it whichever way the control plane ends. (Linux's parent-death signal would also fire
when only the *thread* that started the container ends, and other systems have none.)
"""

import os
import runpy
import signal
import sys
import threading


def _end_with_lifeline(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main() -> None:
    """Run the module named by the first argument."""
    lifeline = os.dup(sys.stdin.fileno())
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    threading.Thread(target=_end_with_lifeline, args=(lifeline,), daemon=True, name="lifeline").start()
    module, sys.argv = sys.argv[1], sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
