"""Repository URLs: what of them may be shown, and the options behind `?`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, unquote, urlencode

_SECRET = re.compile(r"pass(word|wd|phrase)?$|pwd|secret|token|key$|sig(nature)?$|credential", re.IGNORECASE)


def without_secrets(url: str) -> str:
    """`url` as it may be shown, logged and kept: without the password, and without options that hold a secret."""
    scheme, slashes, rest = url.partition("://")
    password = _password(rest) if slashes else None
    if password is not None:
        url = scheme + slashes + rest.replace(f":{password}@", "@", 1)
    head, mark, query = url.partition("?")
    if not mark:
        return head
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if not _SECRET.search(name)]
    return head + ("?" + urlencode(kept, quote_via=quote, safe="/:,") if kept else "")


def secrets_of(url: str) -> list[str]:
    """The secrets in `url`, in every spelling that a message may hold; for taking them out of one."""
    found = [_password(url.partition("://")[2]) or ""]
    found += [value for name, value in parse_qsl(url.partition("?")[2]) if _SECRET.search(name)]
    return sorted({spelling for one in found for spelling in (one, unquote(one)) if one}, key=len, reverse=True)


def quoted(url: str) -> str:
    """`url` with its password spelled as it should have been."""
    scheme, slashes, rest = url.partition("://")
    password = _password(rest)
    if password is None:
        return url
    return scheme + slashes + rest.replace(f":{password}@", f":{quote(unquote(password), safe='')}@", 1)


def _password(rest: str) -> str | None:
    """The password in what follows `://`, also one in which / ? or @ should have been written as %2F, %3F or %40."""
    user, colon, more = rest.partition(":")
    password, at, _ = more.rpartition("@")
    return password if colon and at and not set("/@?") & set(user) else None


def options_of(url: str, known: Iterable[str]) -> tuple[str, dict[str, str]]:
    """`url` without what is behind `?`, and that as a dict. ValueError names an option that there is not."""
    head, _, query = url.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in known:
            raise ValueError(f"there is no option {name!r}; known: {', '.join(sorted(known))}")
    return head, options


def number_of(options: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    """The option as a whole number from `least` to `most`. ValueError."""
    text = options.get(name, str(default))
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ValueError(f"{name}={text} is no whole number from {least} to {most}")
    return int(text)
