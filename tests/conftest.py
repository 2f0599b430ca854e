"""What all tests share: the equipment's fixtures, and signals that are not ignored."""

import signal

pytest_plugins = ["tests.equipment.fixtures"]


def pytest_configure() -> None:
    """Let signals work in children as they do when a person starts them.

    In the background, or under nohup, we are started with some of them ignored, and children would inherit that. A
    handler of our own is not inherited, and changes nothing for us.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
