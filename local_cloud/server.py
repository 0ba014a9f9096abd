"""Serve the local cloud until a signal, and leave nothing running."""

import asyncio
import os
import signal
import sys
import threading

from hypercorn.asyncio import serve as serve_asgi
from hypercorn.config import Config

from local_cloud import emulator
from local_cloud.sagemaker.service import SageMaker
from local_cloud.settings import Settings

_EXIT_TIMEOUT_SECONDS = 10.0


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM, then end every job, endpoint and function, and leave the process.

    Raises:
        LocalCloudError: MiniStack has moved something that SageMaker is hooked into.
    """
    sagemaker = emulator.install(settings)
    print(
        f"local cloud: listening on http://{settings.host}:{settings.port}, files in {settings.state}",
        file=sys.stderr,
    )
    asyncio.run(_serve(settings, sagemaker))
    _exit(sagemaker)


async def _serve(settings: Settings, sagemaker: SageMaker) -> None:
    config = Config()
    config.bind = [f"{settings.host}:{settings.port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    config.loglevel = "WARNING"
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)

    async def stopped() -> None:
        await stopping.wait()
        # The interpreter would wait, possibly for hours, for threads that carry out state machines.
        threading.Timer(_EXIT_TIMEOUT_SECONDS, _exit, [sagemaker]).start()

    await serve_asgi(emulator.application, config, shutdown_trigger=stopped)


def _exit(sagemaker: SageMaker) -> None:
    sagemaker.stop()
    emulator.end_functions()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
