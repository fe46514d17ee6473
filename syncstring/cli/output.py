"""What is printed, and what a terminal may see of it.

The law of this room. What a pipe gets is UTF-8 and depends on the history alone: no colours, no widths, no
"2 minutes ago". A terminal gets colours (unless `NO_COLOR`, `TERM=dumb` or `--color never` say no), and no
control character that somebody else wrote: each is shown by its escape. Nobody gets to see a password. What
takes longer than a second says so on stderr, if that is a terminal.

It doesn't know histories; of a version it knows the fields. Styles are rich's, imported when first needed.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

if TYPE_CHECKING:
    from syncstring.timeline import Version

__all__ = [
    "AUTHOR_STYLES", "Output", "ago", "clock", "fit", "is_dumb", "is_timed", "iso", "masked", "painter",
    "plain", "record", "styles_of", "wants_color", "width_of", "working",
]  # fmt: skip

Paint: TypeAlias = Callable[[str, str], str]
"""(text, style as rich writes it) -> the text in that style, or as it is."""

AUTHOR_STYLES = ("cyan", "magenta", "green", "yellow", "blue", "red")
"""Authors' colours, in order of appearance: those of the terminal's own palette, which fit its background."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000

# Controls of C0 and C1, and what turns the direction of a line or breaks it; half characters from file names.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_PASSWORD = re.compile(r"(://[^\s/?#@:]*):\S*@")  # up to the last @: it may hold what it shouldn't
_NAMES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def plain(text: str, keep: str = "") -> str:
    """The text with every character escaped that could do something to a terminal, but those in `keep`."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def masked(text: str) -> str:
    """The text with the password taken out of every URL in it."""
    return _PASSWORD.sub(r"\1@", text)


def _escaped(char: str) -> str:
    code = ord(char)
    return _NAMES.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


# --- columns --------------------------------------------------------------------------------------------


def width_of(text: str) -> int:
    """How many columns a terminal gives to a text without control characters."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def fit(text: str, width: int) -> str:
    """As much of the text as `width` columns hold, the rest shown by an ellipsis."""
    if width_of(text) <= width:
        return text
    while text and width_of(text) > width - 1:
        text = text[: max(len(text) - max(1, (width_of(text) - width + 1) // 2), 0)]
    return text + "…" if width > 0 else ""


# --- times ----------------------------------------------------------------------------------------------


def clock() -> int:
    """Microseconds since the epoch, now."""
    return time.time_ns() // 1_000


def is_timed(wall: int) -> bool:
    """Whether a time means anything: recordings without times count up from the epoch."""
    return wall >= _DAY


def iso(wall: int) -> str:
    """A time in microseconds as ISO 8601, local, to the second; `-` where none was recorded."""
    when = _local(wall)
    return "-" if when is None else when.replace(microsecond=0).isoformat()


def ago(wall: int, now: int) -> str:
    """A time as people say it: how long ago today, else the local date and time."""
    when = _local(wall)
    if when is None:
        return "-"
    past = (now - wall) // 1_000_000
    if not 0 <= past < 86_400:
        return f"{when:%Y-%m-%d %H:%M}"
    if past < 60:
        return "just now"
    return f"{past // 60} min ago" if past < 3_600 else f"{past // 3_600} h ago"


def _local(wall: int) -> datetime | None:
    if not is_timed(wall):
        return None
    try:
        return (_EPOCH + timedelta(microseconds=wall)).astimezone()
    except (OverflowError, ValueError, OSError):
        return None


# --- JSON -----------------------------------------------------------------------------------------------

_encode = json.JSONEncoder(ensure_ascii=False).encode


def record(version: Version, **more: Any) -> dict[str, Any]:
    """What `--json` says of a version; `id`, or `heads` joined by `+`, name it on the command line.

    Ids have 16 hex digits, times are microseconds since the epoch. `id` is null for the empty version and
    one that several heads name, `n` for one that isn't the first n patches.
    """
    return {
        "n": version.n,
        "id": None if version.id is None else str(version.id),
        "heads": [str(head) for head in version.heads],
        "author": version.author,
        "session": version.session,
        "time": version.time,
        "wall": version.wall,
        "message": version.message,
        "inserted": version.inserted,
        "deleted": version.deleted,
        **more,
    }


# --- where it goes --------------------------------------------------------------------------------------


def wants_color(choice: str, file: TextIO) -> bool:
    """`--color always` and `never` say it; else a terminal that has colours, unless `NO_COLOR` is set."""
    if choice != "auto":
        return choice == "always"
    return is_terminal(file) and not os.environ.get("NO_COLOR") and not is_dumb()


def is_terminal(file: TextIO) -> bool:
    """Whether a person sees what is written to it."""
    try:
        return file.isatty()
    except ValueError:  # closed
        return False


def is_dumb() -> bool:
    """Whether the terminal is one that can't do anything but print."""
    return os.environ.get("TERM", "").lower() in ("", "dumb", "unknown")


def painter(wanted: bool) -> Paint:
    """Returns `paint(text, style)`."""
    if not wanted:
        return lambda text, style: text
    from rich.color import ColorSystem
    from rich.style import Style

    def paint(text: str, style: str) -> str:
        return Style.parse(style).render(text, color_system=ColorSystem.STANDARD)

    return paint


class Output:
    """Standard output. `terminal`: whether it is one; `paint`: colours; `now`: the present, if times are to
    be told relative to it."""

    def __init__(self, color: str = "auto", json: bool = False, exact_times: bool = False) -> None:
        self._file = sys.stdout
        self.json = json
        self.terminal = is_terminal(self._file)
        self.colored = not json and wants_color(color, self._file)
        self.paint = painter(self.colored)
        self.now = clock() if self.terminal and not exact_times else None
        self._encoding = (self.terminal and self._file.encoding) or "utf-8"
        self._started = False

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None for a pipe, which has as many as are needed."""
        if not self.terminal:
            return None
        try:
            return os.get_terminal_size(self._file.fileno()).columns or 80
        except OSError:
            return 80

    def name(self, author: str) -> str:
        """An author as shown in a column: all of the name in a pipe."""
        return fit(plain(author), 20) if self.terminal else plain(author)

    def write(self, text: str) -> None:
        """Exactly this text, in UTF-8."""
        self._file.buffer.write(text.encode())

    def line(self, text: str) -> None:
        """One line. The first one is out at once; a terminal gets each at once."""
        self._file.buffer.write((text + "\n").encode(self._encoding, "backslashreplace"))
        if self.terminal or not self._started:
            self._started = True
            self._file.buffer.flush()

    def object(self, value: dict[str, Any]) -> None:
        """One line of JSON, of which a terminal may see everything: a pipe often ends in one."""
        # All of it stands inside of strings, where \\u means the same.
        self.line(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", _encode(value)))

    def text(self, text: str) -> str:
        """Somebody's text as it may be shown here: as it is in a pipe."""
        return plain(text, "\t") if self.terminal else text

    def when(self, wall: int) -> str:
        """A time as it is told here."""
        return iso(wall) if self.now is None else ago(wall, self.now)

    def telling(self, what: str) -> AbstractContextManager[Any]:
        """While much is printed: `working`, if what is printed isn't seen anyhow."""
        return nullcontext() if self.terminal else working(what)


def styles_of(authors: Sequence[str]) -> dict[str, str]:
    """A style for each author; one who writes alone needs none."""
    if len(authors) < 2:
        return dict.fromkeys(authors, "")
    return {author: AUTHOR_STYLES[i % len(AUTHOR_STYLES)] for i, author in enumerate(authors)}


@contextmanager
def working(what: str) -> Iterator[Callable[[str | Callable[[], str]], None]]:
    """Say on stderr, if that is a terminal, what is being done, as soon as it has taken a second. The
    function given is to be called with how far it is, or with what tells that, in another thread."""
    if not is_terminal(sys.stderr) or is_dumb():
        yield lambda far: None
        return
    lock, shown, done = threading.Lock(), [], False
    far: str | Callable[[], str] = ""

    def tell(text: str | Callable[[], str]) -> None:
        nonlocal far
        far = text

    def show() -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner
        from rich.text import Text

        spinner = Spinner("line")

        def look() -> Spinner:
            said = far if isinstance(far, str) else far()
            spinner.text = Text(f" {plain(', '.join(filter(None, (what, said))))}")
            return spinner

        live = Live(
            get_renderable=look,
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with lock:
            if not done:
                live.start()
                shown.append(live)

    timer = threading.Timer(1.0, show)
    timer.daemon = True
    timer.start()
    try:
        yield tell
    finally:
        timer.cancel()
        with lock:
            done = True
            for live in shown:
                live.stop()
