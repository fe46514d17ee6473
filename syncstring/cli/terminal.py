"""A terminal taken over for a while: rows drawn, keys read, and everything put back in the end.

The law of this room. Whatever ends it (a key, an exception, Ctrl-C, SIGTERM, SIGHUP), the terminal is as it
was: its modes, its cursor, what stood on it. Ctrl-Z puts it back, too, until the program goes on. Rows that
didn't change aren't written again.

It doesn't know what is drawn: rows are strings that hold no control characters but colours. Sequences are
those of ECMA-48 and DEC's private modes that every terminal of today knows (xterm's ctlseqs); 2026 lets
those that know it show a frame at once.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
import termios
from collections.abc import Iterator, Sequence
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Terminal"]

_ENTER = "\x1b[?1049h\x1b[?7l\x1b[2J"  # the other screen, no wrapping by itself
_LEAVE = "\x1b[0m\x1b[?2026l\x1b[?7h\x1b[?25h\x1b[?1049l"
_BEGIN, _END = "\x1b[?2026h\x1b[?25l", "\x1b[?2026l"

_KEYS = {
    b"\x1b[A": "up", b"\x1b[B": "down", b"\x1b[C": "right", b"\x1b[D": "left", b"\x1b[H": "home",
    b"\x1b[F": "end", b"\x1bOA": "up", b"\x1bOB": "down", b"\x1bOC": "right", b"\x1bOD": "left",
    b"\x1bOH": "home", b"\x1bOF": "end", b"\x1b[1~": "home", b"\x1b[4~": "end", b"\x1b[7~": "home",
    b"\x1b[8~": "end",
}  # fmt: skip
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Terminal:
    """The terminal on standard output, while a `with` lasts; keys come from standard input or /dev/tty.

    `SystemExit` is raised in it by SIGTERM and SIGHUP, `KeyboardInterrupt` by Ctrl-C.
    """

    def __init__(self) -> None:
        self._out = sys.stdout.fileno()
        self._encoding = sys.stdout.encoding or "utf-8"
        self._in, self._own = self._keyboard()
        self._saved: list[Any] | None = None
        self._before: dict[int, Any] = {}
        self._drawn: list[str] = []
        self._pending = b""
        self._wake = (-1, -1)
        self._wakeup_before = -1
        self.disturbed = False
        """Whether its size may have changed, or what is on it, since `draw`."""
        self.paused = False
        """Whether the program was stopped since this was last set to False."""

    @staticmethod
    def _keyboard() -> tuple[int, bool]:
        """Where keys come from, -1 for nowhere; whether it was opened here."""
        try:
            if sys.stdin.isatty():
                return sys.stdin.fileno(), False
        except (AttributeError, ValueError):  # none, or closed
            pass
        try:
            return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY), True
        except OSError:
            return -1, False

    # --- taking over and giving back ------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._wake = os.pipe()
        for end in self._wake:
            os.set_blocking(end, False)
        try:
            self._wakeup_before = signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
            self._handle(signal.SIGWINCH, self._on_resize)
            self._handle(signal.SIGTSTP, self._on_stop)
            self._handle(signal.SIGCONT, self._on_continue)
            for ending in _ENDING:
                self._handle(ending, self._on_end)
            self._take()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _handle(self, number: int, handler: Any) -> None:
        self._before[number] = signal.signal(number, handler)

    def _take(self) -> None:
        if self._in >= 0:
            if self._saved is None:
                self._saved = termios.tcgetattr(self._in)
            modes = termios.tcgetattr(self._in)
            modes[3] &= ~(termios.ICANON | termios.ECHO)
            modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
            termios.tcsetattr(self._in, termios.TCSADRAIN, modes)
        self._write(_ENTER)
        self._drawn = []
        self.disturbed = True

    def _give_back(self) -> None:
        with contextlib.suppress(OSError):
            self._write(_LEAVE)
        if self._saved is not None:
            with contextlib.suppress(OSError, termios.error):  # the terminal may be gone
                termios.tcsetattr(self._in, termios.TCSADRAIN, self._saved)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Whatever else would end it waits until everything is put back.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTSTP, *_ENDING))
        try:
            self._give_back()
            for number, handler in self._before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            signal.set_wakeup_fd(self._wakeup_before)
            for descriptor in (*self._wake, *((self._in,) if self._own else ())):
                os.close(descriptor)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _on_resize(self, number: int, frame: FrameType | None) -> None:
        self.disturbed = True

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)  # it stops here

    def _on_continue(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTSTP, self._on_stop)
        self.paused = True
        with contextlib.suppress(OSError, termios.error):
            self._take()

    def _on_end(self, number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    # --- drawing ----------------------------------------------------------------------------------------

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows, now."""
        try:
            columns, rows = os.get_terminal_size(self._out)
        except OSError:
            columns, rows = 0, 0
        return columns or 80, rows or 24

    @property
    def is_unicode(self) -> bool:
        return self._encoding.lower().replace("-", "") == "utf8"

    def draw(self, rows: Sequence[str], cursor: tuple[int, int] | None) -> None:
        """Show these rows, and the cursor at (row, column) or not at all."""
        if self.disturbed:
            self.disturbed = False
            self._drawn = []
        parts = [_BEGIN]
        for number, row in enumerate(rows):
            if number >= len(self._drawn) or self._drawn[number] != row:
                # Erased first: after a full row that would take its last character.
                parts.append(f"\x1b[{number + 1};1H\x1b[K{row}\x1b[0m")
        if len(rows) != len(self._drawn):
            parts.append("\x1b[J")
        if cursor is not None:
            parts.append(f"\x1b[{cursor[0] + 1};{cursor[1] + 1}H\x1b[?25h")
        parts.append(_END)
        self._drawn = list(rows)
        self._write("".join(parts))

    def _write(self, text: str) -> None:
        data = memoryview(text.encode(self._encoding, "backslashreplace"))
        while data:
            try:
                data = data[os.write(self._out, data) :]
            except BlockingIOError:
                select.select([], [self._out], [])

    # --- keys -------------------------------------------------------------------------------------------

    def keys(self, timeout: float | None) -> Iterator[str]:
        """The keys that are pressed within so many seconds, or until a signal comes; None waits for ever.

        A key is a character or a name: left, right, up, down, home, end; "eof" if no more can come.
        """
        sources = [self._wake[0], *([self._in] if self._in >= 0 else [])]
        ready, _, _ = select.select(sources, [], [], timeout)
        if self._wake[0] in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake[0], 4_096)
        if self._in not in ready:
            return
        try:
            data = os.read(self._in, 4_096)
        except OSError as error:
            if error.errno != errno.EIO:  # the terminal is gone
                raise
            data = b""
        if not data:
            yield "eof"
            return
        self._pending += data
        while self._pending:
            key, length = _first_key(self._pending)
            if not length:
                return
            self._pending = self._pending[length:]
            if key:
                yield key


def _first_key(data: bytes) -> tuple[str, int]:
    """The first key in what was read and how many bytes it takes; "" for one that means nothing here."""
    if data[:1] != b"\x1b":
        return (chr(data[0]) if data[0] < 0x80 else ""), 1
    if data[1:2] not in (b"[", b"O"):
        return "", 1  # the key itself, or Alt with another one
    for length in range(3, len(data) + 1):
        if data[length - 1] in b"~ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz":
            return _KEYS.get(data[:length], ""), length
    return ("", 0) if len(data) < 16 else ("", 1)  # the rest of it is still to come
