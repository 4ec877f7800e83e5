"""Addresses that a server listens on, who may ask it there, and the secrets that they know."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from urllib.parse import urlsplit

SHORTEST_SECRET = 16
"""Characters; a shorter secret could be guessed."""


def is_local(host: str) -> bool:
    """Whether a name or an address is this machine's own, reachable from nowhere else."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """The name in a request's `Host`, without the port; nothing where there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def host_of(origin: str) -> str:
    """The name and the port in a request's `Origin`; nothing where there are none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def same_secret(given: str, secret: str) -> bool:
    """Whether they are the same, in a time that does not tell how much of them is."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), secret.encode())


def new_secret() -> str:
    """A random one."""
    return secrets.token_urlsafe(24)


def check_secret(name: str, secret: str | None, host: str) -> None:
    """Refuse a secret that can be guessed, or none where other machines can ask.

    Args:
        name: What it is called.
        secret: It; None: there is none.
        host: Address that is listened on.

    Raises:
        ValueError: It is missing or too short.
    """
    if secret is None and not is_local(host):
        raise ValueError(f"{name}: expected one, since {host} can be reached by other machines, got none")
    if secret is not None and (len(secret) < SHORTEST_SECRET or not _is_plain(secret)):
        raise ValueError(f"{name}: expected at least {SHORTEST_SECRET} letters, digits, - or _, got another one")


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address. Raises `OSError` where that cannot be done."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)  # whoever comes before the server runs waits
    except OSError as error:
        listening.close()
        raise OSError(f"{host}:{port}: cannot be listened on ({error.strerror or error})") from error
    return listening


def in_url(host: str) -> str:
    """An address as other machines may reach it."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _is_plain(secret: str) -> bool:
    return secret.isascii() and all(c.isalnum() or c in "-_" for c in secret)
