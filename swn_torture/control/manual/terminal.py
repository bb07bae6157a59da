"""A question on the terminal of this process, and the line that the person enters."""

from __future__ import annotations

import asyncio
import os
import termios
from typing import TYPE_CHECKING, Self

from swn_torture.control.base import ControllerError

if TYPE_CHECKING:
    from types import TracebackType


class Terminal:
    """The terminal: not standard input and output, which pytest redirects.

    Args:
        path: of the terminal.

    Raises:
        ControllerError: there is no terminal.
    """

    def __init__(self, path: str = "/dev/tty") -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_NOCTTY)
        except OSError as problem:
            raise ControllerError(
                f"a person must change the cluster, but there is no terminal ({path}: {problem.strerror}). "
                "Start swn-torture in a terminal, or use another kind of controller"
            ) from problem
        if not os.isatty(self._file):
            os.close(self._file)
            raise ControllerError(f"a person must change the cluster, but {path} is no terminal")
        self._line: asyncio.Future[str] | None = None
        self._received = b""

    async def __aenter__(self) -> Self:
        try:
            # What was typed before the question is not its answer.
            termios.tcflush(self._file, termios.TCIFLUSH)
            asyncio.get_running_loop().add_reader(self._file, self._readable)
        except (OSError, termios.error) as problem:
            os.close(self._file)
            raise ControllerError("the terminal of the person has ended") from problem
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._file)
        os.close(self._file)

    def show(self, *lines: str) -> None:
        """Write lines.

        Raises:
            ControllerError: the terminal has ended.
        """
        try:
            os.write(self._file, ("\r\n".join(lines) + "\r\n").encode())
        except OSError as problem:
            raise ControllerError("the terminal of the person has ended") from problem

    async def line(self, timeout: float) -> str | None:
        """Return the next line that the person enters, without spaces around it; None after `timeout`.

        Raises:
            ControllerError: the terminal has ended.
        """
        if self._line is None:
            self._line = asyncio.get_running_loop().create_future()
            self._take_line()
        try:
            async with asyncio.timeout(timeout):
                text = await asyncio.shield(self._line)
        except TimeoutError:
            return None
        self._line = None
        return text

    def _readable(self) -> None:
        try:
            received = os.read(self._file, 4096)
        except OSError:
            received = b""
        if not received:
            asyncio.get_running_loop().remove_reader(self._file)
            if self._line is not None and not self._line.done():
                self._line.set_exception(ControllerError("the terminal of the person has ended"))
            return
        self._received += received
        self._take_line()

    def _take_line(self) -> None:
        if self._line is not None and not self._line.done() and b"\n" in self._received:
            line, self._received = self._received.split(b"\n", 1)
            self._line.set_result(line.decode(errors="replace").strip())
