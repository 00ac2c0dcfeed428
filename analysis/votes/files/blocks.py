"""A file of lines in blocks of whole lines; what a block's reader did not use goes back."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["BLOCK_BYTES", "Blocks", "TextLines"]

# So much is parsed at once: a few of these are all that a large file takes.
BLOCK_BYTES = 4 << 20


class Blocks:
    """Blocks of about ``BLOCK_BYTES`` that end with a line end, the last one with the file.

    Parameters
    ----------
    file : binary file
        Read from where it stands.
    ends : bytes
        What ends a line: LF, CR, or both.
    """

    def __init__(self, file: BinaryIO, *, ends: bytes = b"\n\r") -> None:
        self._file = file
        self._has_cr = b"\r" in ends
        self._rest = b""

    def take(self) -> bytes:
        """Return the next block; nothing at the end of the file."""
        block, self._rest = self._rest, b""
        while more := self._file.read(BLOCK_BYTES):
            cut = more.rfind(b"\n") + 1
            if cut:
                self._rest = more[cut:]
                return block + memoryview(more)[:cut]
            block += more
            # What was given back may hold lines already.
            cut = block.rfind(b"\n") + 1
            if not cut and self._has_cr:
                # The last byte may be half of a CRLF.
                cut = block.rfind(b"\r", 0, len(block) - 1) + 1
            if cut:
                self._rest = block[cut:]
                return block[:cut]
        return block

    def give_back(self, *blocks: bytes) -> None:
        """Put bytes back in front of what comes next."""
        self._rest = b"".join(blocks) + self._rest


class TextLines:
    """Lines of text from one block on, across blocks: what ``csv.reader`` iterates over.

    Bytes that are not UTF-8 come through as surrogates, so that they are reported with their line and column.

    Parameters
    ----------
    block : bytes
        Where the lines begin.
    blocks : Blocks
        Where they go on.
    """

    def __init__(self, block: bytes, blocks: Blocks) -> None:
        self._blocks = blocks
        self._is_first = True
        self._begin(block)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline()
        if not line:
            self._is_first = False
            self._begin(self._blocks.take())
            line = self._text.readline()
            if not line:
                raise StopIteration
        return line

    @property
    def is_past_block(self) -> bool:
        """Whether every line of the first block was taken."""
        return not self._is_first or self._text.tell() == self._end

    def rest(self) -> bytes:
        """Return what no line was taken of."""
        return self._text.read().encode("utf-8", "surrogateescape")

    def _begin(self, block: bytes) -> None:
        text = block.decode("utf-8", "surrogateescape")
        self._end = len(text)
        # No translation: a carriage return inside quotes is part of the text.
        self._text = io.StringIO(text, newline="")
