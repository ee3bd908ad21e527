"""The command `bourn`, and `python -m bourn`."""

import signal


def main() -> None:
    """Load the command and run it. Ctrl-C while it loads ends it without a traceback: nothing has begun yet."""
    loading = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else whoever started us ignores it
    if loading:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from bourn.cli import main as command

    if loading:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command()


if __name__ == "__main__":
    main()
