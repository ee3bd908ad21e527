"""Where the page is served, as `--web` says it."""

from __future__ import annotations

from bourn.cli.config import ConfigError


def web_address(text: str, insecure: bool) -> tuple[str, int, tuple[str, str | None] | None]:
    """Host, port, and the certificate with its key where the page is served over TLS. ConfigError."""
    from bourn.hub.connections.tcp import is_loopback
    from bourn.hub.connections.tls import make_context, split_url

    if text.startswith("https://"):
        try:
            host, port, cert, key = split_url(text.replace("https://", "tls://", 1))
            make_context(cert, key)
        except ValueError as e:
            raise ConfigError(f"--web: {str(e).replace('tls://', 'https://')}") from e
        return host, port, (cert, key)
    host, _, number = text.removeprefix("http://").rpartition(":")
    if not host or not number.isdecimal() or int(number) > 65535:
        raise ConfigError(f"--web: {text!r} is no address like 127.0.0.1:8080")
    host = host.strip("[]")
    if not insecure and not is_loopback(host):
        raise ConfigError(
            f"--web: {host} can be reached by others, who could read along; use 127.0.0.1, or "
            "https://HOST:PORT?cert=FILE&key=FILE, or `bourn hub --insecure` if the network is yours alone"
        )
    return host, int(number), None
