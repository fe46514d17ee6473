"""What is found, as values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

__all__ = ["BACKUP", "UPGRADE", "Finding", "Report", "ids_of", "listed", "rows_of"]

Fresh: TypeAlias = Callable[[], str]
"""Draws 40 random hex digits."""
Fix: TypeAlias = Callable[[], Awaitable[bool]]
"""Mends something; whether it did."""

UPGRADE: Final = "upgrade syncstring; nothing is wrong with it"
FEW: Final = 5  # that are named one by one
BACKUP: Final = (
    "restore a backup; or `export rows --salvage` what can be read, and import that under another name"
)


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    kind: str
    """In a word or two, for programs: `damaged-section`, `missing-parent`, and so on."""
    where: str
    """The table and the key."""
    what: str
    """What it is."""
    advice: str
    """What to do."""
    grave: bool = True
    """False for what is left over and does no harm."""
    repaired: bool = False


@dataclass
class Report:
    """What was found out about one document."""

    doc: str
    """Its key; empty for what was found out about names."""
    names: tuple[str, ...] = ()
    patches: int = 0
    """How many can be read, with all that they stand on."""
    unread: int = 0
    """How many more there are, as far as that is known."""
    opens: bool = False
    """Whether it can be opened and edited."""
    whole: bool = False
    """Whether its whole history can be read."""
    deleted: bool = False
    findings: list[Finding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged, any more."""
        return not any(finding.grave and not finding.repaired for finding in self.findings)

    @property
    def readable(self) -> str:
        """What can be read, in words."""
        if self.deleted:
            return "it was deleted"
        count = f"{self.patches:,} patch{'' if self.patches == 1 else 'es'}"
        if self.whole:
            return f"all of it can be read: {count}"
        rest = f"{count} can be read, and every version that consists of them"
        if self.unread:
            rest += f"; {self.unread:,} more can't"
        if self.opens:
            return f"it can be opened and edited, so its newest text is there; of its history, {rest}"
        return f"it can't be opened; {rest}"


def rows_of(count: int) -> str:
    """`1 row`, `2 rows`."""
    return f"{count:,} row{'' if count == 1 else 's'}"


def ids_of(ids: Iterable[tuple[Any, ...]]) -> str:
    """Some ids, each once, the first ones in full."""
    return listed([f"{tuple(id)}" for id in dict.fromkeys(ids)])


def listed(names: Sequence[str]) -> str:
    """Some names, the first ones in full."""
    more = f" and {len(names) - FEW:,} more" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more
