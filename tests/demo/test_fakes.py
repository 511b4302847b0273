"""The places where nothing answers are what they say."""

from __future__ import annotations

import asyncio

import pytest

from sollol_tui.core.ids import host_of, port_of
from tests import fakes


async def connect(url: str) -> bool:
    """Whether a connection is accepted within a tenth of a second."""
    async with asyncio.timeout(0.1):
        _, writer = await asyncio.open_connection(host_of(url), port_of(url))
    writer.close()
    return True


async def test_a_dead_url_refuses() -> None:
    async with fakes.dead_url() as url:
        with pytest.raises(ConnectionRefusedError):
            await connect(url)


async def test_a_silent_one_accepts() -> None:
    async with fakes.silent() as url:
        assert await connect(url)


async def test_a_black_hole_gives_no_answer_to_a_connect() -> None:
    async with fakes.black_hole() as url:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await connect(url)
