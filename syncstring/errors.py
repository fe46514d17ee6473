"""Every way this library says no.

    SyncstringError
    ├── PatchError(ValueError)            yours: a call whose arguments cannot be meant
    ├── MalformedRow                      somebody's: a row, file or stream that breaks the format
    ├── ConflictingPatch                  somebody's: two contents under one id
    ├── UnsupportedVersion                somebody's: made by a later format than this library reads
    ├── UnknownVersion(LookupError)       no such version here
    │   └── AmbiguousVersion              more than one version answers to that name
    ├── HistoryTruncated                  the history that is needed was dropped on purpose
    └── StoreError
        ├── StoreUnavailable(ConnectionError)
        ├── CorruptStore
        └── DocumentDeleted

Blame is in the type, the numbers are in the text, the advice comes last. Catch `SyncstringError`
for all of them; whatever raised one changed nothing.
"""

from __future__ import annotations

__all__ = [
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
]


class SyncstringError(Exception):
    """The root: everything that this library raises on purpose."""


class PatchError(SyncstringError, ValueError):
    """Your call can't be carried out: a position out of range, a lone surrogate, a bad argument."""


class MalformedRow(SyncstringError):
    """Input from outside breaks the format. It was refused or set aside; ask whoever wrote it."""


class ConflictingPatch(SyncstringError):
    """Two different contents bear one id. One of them is forged, or a session id was used twice."""


class UnsupportedVersion(SyncstringError):
    """Written by a later version of the format. Upgrade this library to read on."""


class UnknownVersion(SyncstringError, LookupError):
    """No version here answers to that name. It may not have arrived yet."""


class AmbiguousVersion(UnknownVersion):
    """More than one version answers to that name. Give more of its digits."""


class HistoryTruncated(SyncstringError):
    """That needs history which was dropped on purpose (`forget`)."""


class StoreError(SyncstringError):
    """The store could not do what was asked. What was not acknowledged is still in the outbox."""


class StoreUnavailable(StoreError, ConnectionError):
    """The store did not answer in time, or could not be reached. Trying again is safe."""


class CorruptStore(StoreError):
    """What the store holds breaks its own promises. `syncstring fsck` says where."""


class DocumentDeleted(StoreError):
    """The document was deleted. Its unsent patches are still readable."""
