"""The head of an answer and its body are one write, and nothing is held longer than a turn of the loop."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from mlops_assets.serving.http.one_write import Joining

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Written:
    """A transport that remembers."""

    def __init__(self) -> None:
        self.calls: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.calls.append(data)

    def close(self) -> None:
        self.calls.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.calls


def after(*steps: bytes | str) -> list[bytes | str]:
    """What reaches the transport: bytes are written, `turn` ends the loop's turn, `close` closes."""
    written = Written()

    async def write() -> None:
        joining: Any = Joining(cast(asyncio.Transport, written), asyncio.get_running_loop())
        for step in steps:
            if isinstance(step, bytes):
                joining.write(step)
            elif step == "close":
                joining.close()
                assert joining.is_closing()
            else:
                await asyncio.sleep(0)

    asyncio.run(write())
    return written.calls


def test_a_head_and_its_body_are_one_write() -> None:
    assert after(HEAD, b"{}", HEAD, b"[]", "turn") == [HEAD + b"{}", HEAD + b"[]"]


def test_a_head_without_a_body_waits_for_the_end_of_the_turn_and_no_longer() -> None:
    assert after(HEAD, "turn", b"chunk", b"chunk") == [HEAD, b"chunk", b"chunk"]
    assert after(HEAD, "close") == [HEAD, "closed"]
