"""Whether the Hub can be reached: asked before its client does, which tries for half a minute."""

import socket
import threading
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from huggingface_hub import constants

PATIENCE = 2.0  # seconds


def hub_is_out_of_reach() -> bool:
    """Whether no connection to the Hub opens within two seconds, or none is wanted (HF_HUB_OFFLINE).

    False behind a proxy: what it reaches is known to it alone.
    """
    if constants.is_offline_mode():
        return True
    address = urlsplit(constants.ENDPOINT)
    proxies = getproxies()
    if (proxies.get(address.scheme) or proxies.get("all")) and not proxy_bypass(address.hostname or ""):
        return False
    port = address.port or {"http": 80}.get(address.scheme, 443)
    reached = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((address.hostname, port), PATIENCE).close()
            reached.set()
        except OSError:
            pass

    # In a thread, since looking up a name knows no time-out.
    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(PATIENCE)
    return not reached.is_set()
