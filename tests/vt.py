"""A terminal to run programs in: a pseudo-terminal, and a screen that knows just what ours may write.

A sequence that isn't listed here fails the test: so nothing of a text that is shown reaches a terminal as
anything but text. How wide a character is comes from `unicodedata`, not from what the program uses.
"""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, Self

SECONDS = 120.0  # until something that should have come is given up
_SEQUENCE = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")


class Screen:
    """What is on the terminal: rows of (character, style), two of them, a cursor and some modes."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.main = self._blank()
        self.other = self._blank()
        self.alternate = False
        self.wraps = True
        self.cursor_shown = True
        self.row = self.column = 0
        self.style = ""
        self.written = 0
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")

    def _blank(self) -> list[list[tuple[str, str]]]:
        return [[(" ", "")] * self.columns for _ in range(self.rows)]

    @property
    def cells(self) -> list[list[tuple[str, str]]]:
        return self.other if self.alternate else self.main

    @property
    def lines(self) -> list[str]:
        """The rows as text, without the space at their ends."""
        return ["".join(char for char, _ in row).rstrip() for row in self.cells]

    def styles(self, text: str) -> set[str]:
        """The styles of a text that stands on the screen."""
        for line, row in zip(self.lines, self.cells, strict=True):
            if (at := line.find(text)) >= 0:
                return {style for _, style in row[at : at + len(text)]}
        raise AssertionError(f"{text!r} is not on the screen:\n{self}")

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def resize(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.main, self.other = self._blank(), self._blank()
        self.row = self.column = 0

    def feed(self, data: bytes) -> None:
        self.written += len(data)
        text = self._rest + self._decoder.decode(data)
        self._rest = ""
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                found = _SEQUENCE.match(text, at)
                if found is None:
                    assert len(text) - at < 20, f"no sequence that is known here: {text[at : at + 20]!r}"
                    self._rest = text[at:]
                    return
                self._do(found[1], found[2], found[3])
                at = found.end()
            else:
                self._put(text[at])
                at += 1

    def _do(self, private: str, numbers: str, final: str) -> None:
        values = [int(number or 0) for number in numbers.split(";")]
        if private:
            assert final in "hl", (numbers, final)
            on = final == "h"
            match values:
                case [1049]:
                    self.alternate = on
                    if on:
                        self.other = self._blank()
                case [7]:
                    self.wraps = on
                case [25]:
                    self.cursor_shown = on
                case [2026] | [2004]:  # frames at once; a shell asks for pasted text to be marked
                    pass
                case _:
                    raise AssertionError(f"mode {values} isn't known here")
        elif final == "H":
            self.row, self.column = [max(value, 1) - 1 for value in [*values, 0][:2]]
            assert self.row < self.rows and self.column < self.columns, (self.row, self.column)
        elif final == "K":
            assert values in ([0], [2]), values
            start = 0 if values == [2] else self.column
            self.cells[self.row][start:] = [(" ", "")] * (self.columns - start)
        elif final == "A":
            self.row = max(self.row - max(values[0], 1), 0)
        elif final == "J":
            assert values in ([0], [2]), values
            if values == [2]:
                self.cells[:] = self._blank()
            else:
                self.cells[self.row][self.column :] = [(" ", "")] * (self.columns - self.column)
                for row in self.cells[self.row + 1 :]:
                    row[:] = [(" ", "")] * self.columns
        elif final == "m":
            self.style = "" if values == [0] else f"{self.style};{numbers}".lstrip(";")
        else:
            raise AssertionError(f"sequence {numbers}{final} isn't known here")

    def _put(self, char: str) -> None:
        if char == "\r":
            self.column = 0
            return
        if char == "\n":
            self.row += 1
            if self.row == self.rows:
                self.cells[:] = [*self.cells[1:], [(" ", "")] * self.columns]
                self.row -= 1
            return
        if char == "\t":
            self.column = min(self.column // 8 * 8 + 8, self.columns - 1)
            return
        if char in "\b\x0f":  # what a shell may write
            return
        assert unicodedata.category(char) != "Cc", f"a control character is shown: {char!r}"
        if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
            return
        wide = unicodedata.east_asian_width(char) in "WF"
        if self.column + wide >= self.columns:
            if self.wraps and self.column >= self.columns:
                self._put("\n")
                self.column = 0
            elif not self.wraps:
                self.column = self.columns - 1 - wide
        row = self.cells[self.row]
        row[self.column] = (char, self.style)
        if wide:
            row[self.column + 1] = ("", self.style)
        self.column += 1 + wide
        if not self.wraps:
            self.column = min(self.column, self.columns - 1)


class Session:
    """A program in a terminal of its own, which it controls: Ctrl-C reaches it as in real life."""

    def __init__(
        self,
        command: Sequence[str],
        columns: int = 80,
        rows: int = 24,
        env: dict[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        before: str = "",
    ) -> None:
        self.screen = Screen(columns, rows)
        self.screen.feed(before.encode())
        self._master, self._slave = os.openpty()
        self._size(columns, rows)
        self.modes = termios.tcgetattr(self._slave)
        environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
        environment |= {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"} | (env or {})
        self.process = subprocess.Popen(
            command,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=environment,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for descriptor in (self._master, self._slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns: int, rows: int) -> None:
        self._read(0)
        self.screen.resize(columns, rows)
        self._size(columns, rows)
        os.killpg(os.tcgetpgrp(self._master), signal.SIGWINCH)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def _read(self, timeout: float) -> bool:
        """Take in what was written; whether there was anything."""
        ready, _, _ = select.select([self._master], [], [], timeout)
        if not ready:
            return False
        try:
            self.screen.feed(os.read(self._master, 65_536))
        except OSError:  # nobody has it open any more
            return False
        return True

    def until(self, holds: Callable[[Screen], object], what: str = "") -> Screen:
        """Wait until something holds of the screen."""
        end = time.monotonic() + SECONDS
        while not holds(self.screen):
            if not self._read(0.1) and (self.process.poll() is not None or time.monotonic() > end):
                while self._read(0):
                    pass
                assert holds(self.screen), f"{what} (exit status {self.process.poll()})\n{self.screen}"
        return self.screen

    def see(self, text: str) -> Screen:
        """Wait until a text stands on the screen."""
        return self.until(lambda screen: text in str(screen), f"{text!r} doesn't come")

    def end(self) -> int:
        """Wait for the program's end; its exit status."""
        end = time.monotonic() + SECONDS
        while self.process.poll() is None:
            self._read(0.05)
            assert time.monotonic() < end, f"it doesn't end\n{self.screen}"
        while self._read(0):
            pass
        return self.process.returncode

    @property
    def restored(self) -> bool:
        """Whether modes, screen and cursor are as the program found them."""
        screen = self.screen
        unchanged = termios.tcgetattr(self._slave) == self.modes
        return (
            unchanged and screen.cursor_shown and screen.wraps and not screen.alternate and not screen.style
        )


def syncstring(*args: str) -> list[str]:
    """The command that runs ours."""
    return [sys.executable, "-m", "syncstring", *args]
