"""`log --follow`: a stored document's newest versions, and then each as it arrives.

The law of this room. Every patch that the store has, or gets while this runs, is told once, in the order in
which it is seen; what comes late is told when it comes, with the number that it has then.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from syncstring.archive import find_document
from syncstring.blocking import StoredDocument
from syncstring.blocking import open as open_document
from syncstring.cli.log import Describe
from syncstring.cli.output import Output, record, working
from syncstring.cli.places import Place, with_store
from syncstring.errors import StoreUnavailable
from syncstring.outside import fresh_key
from syncstring.store import Store
from syncstring.timeline import Version

__all__ = ["follow"]

_LAST: Final = 10  # versions to begin with
_POLL: Final = 0.1  # seconds between two looks at what has arrived
_SYNC: Final = 50  # looks between two questions whether the document is there at all


def follow(place: Place, out: Output, limit: int | None = None, author: str | None = None) -> None:
    """Print the last versions, oldest first, then new ones, until interrupted or the document is deleted."""

    async def find(store: Store) -> str:
        return await find_document(store, place.name, fresh_key, create=False)

    with_store(place.url, find)
    named = "" if author is None else author.casefold()
    with open_document(place.url, place.name, author="", create=False) as doc:
        with working(f"reading {place.name}"):
            versions = doc.versions
        told = _Told(doc, out, named)
        wanted = [version for version in versions[1:] if named in version.author.casefold()]
        for version in wanted[max(0, len(wanted) - (_LAST if limit is None else limit)) :]:
            told.tell(version)
        looks = 0
        while True:
            sys.stdout.flush()
            time.sleep(_POLL)
            looks += 1
            if looks % _SYNC:
                doc.pull()
            else:
                with suppress(StoreUnavailable):  # it goes on when the store is there again
                    doc.sync()
            told.news()


class _Told:
    """What was told already: all that is in a graph, up to an event."""

    def __init__(self, doc: StoredDocument, out: Output, named: str) -> None:
        self._doc = doc
        self._out = out
        self._named = named
        self._graph = doc.history.graph
        self._count = len(self._graph)
        self._describe = Describe(doc.timeline, out)

    def news(self) -> None:
        """Tell what came since."""
        graph = self._doc.history.graph
        if graph is self._graph and len(graph) == self._count:
            return
        fresh: Iterable[int] = range(self._count, len(graph))
        if graph is not self._graph:  # all was built anew, in another order
            fresh = (event for event in range(len(graph)) if self._graph.find(*graph.id_of(event)) < 0)
        places = sorted(graph.place_of(event) for event in fresh)
        self._graph, self._count = graph, len(graph)
        versions = self._doc.versions
        for place in places:
            if self._named in versions[place + 1].author.casefold():
                self.tell(versions[place + 1])

    def tell(self, version: Version) -> None:
        if self._out.json:
            self._out.object(record(version))
        else:
            self._out.line(self._describe.version(version))
