"""syncstring: the text-sync engine that editors embed.

People edit one text at once, online and off; their patches are merged deterministically, nobody's typing
is lost or misplaced, and every version can be read again. The README shows it in fifteen lines.

Nothing is loaded before it is asked for, so that a command line's `--help` doesn't wait for an engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syncstring._diff import diff as diff
    from syncstring._patch import Splice as Splice
    from syncstring._patch import apply as apply
    from syncstring._patch import compose as compose
    from syncstring._patch import invert as invert
    from syncstring._patch import map_position as map_position
    from syncstring._patch import transform as transform
    from syncstring.blocking import StoredDocument as StoredDocument
    from syncstring.blocking import open as open
    from syncstring.document import Cursor as Cursor
    from syncstring.document import Document as Document
    from syncstring.document import Edit as Edit
    from syncstring.errors import AmbiguousVersion as AmbiguousVersion
    from syncstring.errors import ConflictingPatch as ConflictingPatch
    from syncstring.errors import CorruptStore as CorruptStore
    from syncstring.errors import DocumentDeleted as DocumentDeleted
    from syncstring.errors import HistoryTruncated as HistoryTruncated
    from syncstring.errors import MalformedRow as MalformedRow
    from syncstring.errors import PatchError as PatchError
    from syncstring.errors import StoreError as StoreError
    from syncstring.errors import StoreUnavailable as StoreUnavailable
    from syncstring.errors import SyncstringError as SyncstringError
    from syncstring.errors import UnknownVersion as UnknownVersion
    from syncstring.errors import UnsupportedVersion as UnsupportedVersion
    from syncstring.history import History as History
    from syncstring.patch import Id as Id
    from syncstring.patch import Patch as Patch
    from syncstring.presence import Peer as Peer
    from syncstring.session import Change as Change
    from syncstring.session import Session as Session
    from syncstring.session import connect as connect
    from syncstring.timeline import Run as Run
    from syncstring.timeline import Timeline as Timeline
    from syncstring.timeline import Version as Version

__version__ = "0.1.0"

_HOME = {
    "_diff": ["diff"],
    "_patch": ["Splice", "apply", "compose", "invert", "map_position", "transform"],
    "blocking": ["StoredDocument", "open"],
    "document": ["Cursor", "Document", "Edit"],
    "errors": [
        "AmbiguousVersion",
        "ConflictingPatch",
        "CorruptStore",
        "DocumentDeleted",
        "HistoryTruncated",
        "MalformedRow",
        "PatchError",
        "StoreError",
        "StoreUnavailable",
        "SyncstringError",
        "UnknownVersion",
        "UnsupportedVersion",
    ],
    "history": ["History"],
    "patch": ["Id", "Patch"],
    "presence": ["Peer"],
    "session": ["Change", "Session", "connect"],
    "timeline": ["Run", "Timeline", "Version"],
}
_ROOM = {name: room for room, names in _HOME.items() for name in names}

# `from syncstring import *` leaves Python's own `open` alone.
__all__ = sorted(_ROOM.keys() - {"open"})


def __getattr__(name: str) -> Any:
    if name not in _ROOM:
        raise AttributeError(f"module 'syncstring' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"syncstring.{_ROOM[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
