"""``python -m local_cloud`` serves the local cloud in the foreground until SIGINT or SIGTERM."""

import sys

from local_cloud.settings import LocalCloudError, Settings


def main() -> int:
    """Serve; return the exit status."""
    try:
        settings = Settings.from_environment()
        settings.require_free_port()
        settings.prepare()
        # MiniStack, which this imports, reads the environment at import.
        from local_cloud.server import serve  # noqa: PLC0415

        serve(settings)
    except (LocalCloudError, ImportError) as error:
        print(f"local cloud: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
