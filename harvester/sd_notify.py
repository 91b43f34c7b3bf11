"""The notifications that systemd wants of a service: readiness, stopping, watchdog.

Protocol: sd_notify(3). Without ``NOTIFY_SOCKET`` nothing happens.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Sends states to the socket that the service manager named."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # A leading @ is an abstract socket.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = _watchdog_s(environment)

    def send(self, *lines: str) -> bool:
        """Send ``READY=1`` and the like; whether somebody listens."""
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            # A service must not die because its manager does not listen.
            return False
        return True


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """The watchdog's limit, if it is meant for this process."""
    text, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not text.isdigit() or not int(text) or (pid and pid != str(os.getpid())):
        return None
    return int(text) / 1e6
