"""What a proxy in front of a server says instead of it."""

from __future__ import annotations

from collections.abc import Mapping

from sollol_tui.demo.http import Exchange, Headers

_HTML = ("Content-Type", "text/html")
_TITLES: Mapping[int, str] = {
    401: "401 Authorization Required",
    403: "403 Forbidden",
    429: "429 Too Many Requests",
    502: "502 Bad Gateway",
    503: "503 Service Temporarily Unavailable",
    504: "504 Gateway Time-out",
}
_MORE: Mapping[int, Headers] = {
    401: (("WWW-Authenticate", 'Basic realm="models"'),),
    429: (("Retry-After", "5"),),
}


async def refuse(exchange: Exchange, status: int) -> None:
    """Answer with a proxy's page for that status."""
    title = _TITLES.get(status, f"{status} Error")
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    await exchange.answer(status, page.encode(), (_HTML, *_MORE.get(status, ())))
