"""Which version this is."""

from __future__ import annotations


def version() -> str:
    """The installed version; `unknown` when it runs from a checkout that is not installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("sollol-tui")
    except PackageNotFoundError:
        return "unknown"
