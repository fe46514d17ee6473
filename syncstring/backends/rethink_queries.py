"""Rows as a RethinkDB server has them, and what it is asked about them.

The law of this room. A row is `{"id": key, "row": text, "data": bytes?}`, where the text is the canonical
JSON of `store.image`: the server compares rows by it, and nothing in it can be taken for a time, a term or a
number of another type. Rows go to the server as one JSON text. Queries are built once, each with slots for
what differs: to have the driver build one costs more than the rest of a small row's way to the server.

It knows no connection.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from rethinkdb import query as r
from rethinkdb.ast import RqlQuery

from syncstring.errors import PatchError, StoreError, StoreUnavailable
from syncstring.store import Changed, Image, Key, Row, Verdict, checked, image, key_of, restored

__all__ = [
    "beat",
    "change_of",
    "delete",
    "expected",
    "get",
    "insert",
    "is_ours",
    "read",
    "refused",
    "row_of",
    "scan",
    "stored",
    "swap",
    "sweep",
    "verdict",
    "why",
]

OTHER: Final = "another row is there"

# --- rows ------------------------------------------------------------


def stored(key: Key, kept: Image, mark: bool = False) -> str:
    """A row as the server gets it. A mark, which isn't kept, lets it through to rows that never change."""
    row: dict[str, Any] = {"id": key, "row": kept.text}
    if kept.data is not None:
        row["data"] = {"$reql_type$": "BINARY", "data": base64.b64encode(kept.data).decode()}
    if mark:
        row["swap"] = True
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def expected(row: Row) -> str:
    """The same of a row that is to be there; empty if no store could keep it."""
    try:
        return stored(key_of(row), image(row))
    except ValueError:
        return ""


def why(row: Row) -> str:
    """Why no store could keep a row."""
    try:
        image(row)
    except ValueError as error:
        return str(error)
    return ""


def is_ours(table: str, given: Any) -> bool:
    """Whether it has such a key as rows of that table have. What else stands there, nobody can ask for."""
    id = given.get("id") if isinstance(given, dict) else None
    if not isinstance(id, list):
        return False
    try:
        checked(table, [tuple(id)])
    except PatchError:
        return False
    return True


def row_of(given: Any) -> Row:
    """A row from the server. What isn't one says why it can't be read."""
    key = given["id"]
    try:
        data = given.get("data")
        if data is not None:
            data = base64.b64decode(data["data"])
        if not isinstance(given.get("row"), str):
            raise ValueError("it has no text")
        return restored(key, (given["row"], data))
    except (ValueError, LookupError, TypeError, binascii.Error) as error:
        return {"id": list(key), "unreadable": f"{error}"[:200]}


def change_of(table: str, item: Any) -> tuple[Changed, int] | None:
    """What a feed tells, and its size; None if it is of no row of ours."""
    old, new = item.get("old_val"), item.get("new_val")
    if not is_ours(table, new or old):
        return None
    size = sum(len(str(each.get("row"))) + len(str(each.get("data"))) for each in (old, new) if each)
    return Changed(old and row_of(old), new and row_of(new)), size


# --- queries ------------------------------------------------------------


class _Slot(str):
    """Something that differs from one query to the next of a kind."""


class _Built(RqlQuery):  # type: ignore[misc]
    """A query whose tree stands already."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree
        self._args: list[Any] = []
        self.optargs: dict[str, Any] = {}

    def build(self) -> Any:
        return self.tree

    def compose(self, args: Any, optargs: Any) -> Any:
        return "(a query)"


def _plain(node: Any) -> Any:
    """A query as the lists and objects that are sent."""
    if isinstance(node, RqlQuery):
        node = node.build()
    if isinstance(node, dict):
        return {name: _plain(part) for name, part in node.items()}
    if isinstance(node, (list, tuple)):
        return [_plain(part) for part in node]
    return node


def _filled(node: Any, values: dict[str, Any]) -> Any:
    """A tree with values in its slots; parts without slots are shared. O(tree), which is small."""
    kind = type(node)
    if kind is list:
        return [_filled(part, values) if type(part) in (list, dict, _Slot) else part for part in node]
    if kind is dict:
        return {name: _filled(part, values) for name, part in node.items()}
    return values[node] if kind is _Slot else node


def _with(tree: Any, **values: Any) -> RqlQuery:
    return _Built(_filled(tree, values))


def insert(table: str, texts: Sequence[str]) -> RqlQuery:
    """Rows of these texts: True if all were new, else for each what `verdict` reads."""
    return _with(_insert(table), rows=f"[{','.join(texts)}]", count=len(texts))


@cache
def _insert(table: str) -> Any:
    def keep(_: Any, old: Any, new: Any) -> Any:
        # Where a row is already: the same is fine, and no other takes its place.
        return r.branch(old == new, old, r.error(OTHER))

    def became(change: Any) -> Any:
        return r.branch(
            change.has_fields("error"),
            [change["error"], change["old_val"].default(None)],
            change["old_val"] == None,  # noqa: E711  # a term of the query
            0,
            1,
        )

    rows = r.json(_Slot("rows"))
    put = r.table(table).insert(rows, durability="hard", return_changes="always", conflict=keep)
    # Most of the time all are new: then nothing but that comes back.
    told = put.do(
        lambda done: r.branch(done["inserted"] == _Slot("count"), True, done["changes"].map(became))
    )
    return _plain(told)


def swap(table: str, key: Key, before: str | None, after: str) -> RqlQuery:
    """Put a row in the place of just that one: [error, what was there, whether it was the right one]."""
    wanted = "null" if before is None else before or "false"  # false: no row is that
    return _with(_swap(table), key=json.dumps(key), before=wanted, after=after)


@cache
def _swap(table: str) -> Any:
    wanted = r.json(_Slot("before"))
    put = (
        r.table(table)
        .get(r.json(_Slot("key")))
        .replace(
            lambda row: r.branch(row == wanted, r.json(_Slot("after")), row),
            durability="hard",
            return_changes="always",
        )
    )
    told = put["changes"].nth(0)
    return _plain(
        told.do(lambda change: [change["error"].default(""), change["old_val"], change["old_val"] == wanted])
    )


def delete(table: str, texts: Sequence[str]) -> RqlQuery:
    """Remove rows where they are as they are given: for each that is there its key if it went, else [the row
    that is there, error]."""
    return _with(_delete(table), rows=f"[{','.join(texts)}]")


@cache
def _delete(table: str) -> Any:
    def gone(rows: Any) -> Any:
        found = r.table(table).get_all(r.args(rows["id"]))
        pairs = rows.concat_map(lambda row: [row["id"].to_json_string(), row])

        def without(wanted: Any) -> Any:
            return found.replace(
                lambda row: r.branch(row == wanted[row["id"].to_json_string()], None, row),
                durability="hard",
                return_changes="always",
            )

        def became(each: Any) -> Any:
            kept = [each["old_val"], each["error"].default("")]
            return r.branch(each.has_fields("error") | (each["new_val"] != None), kept, each["old_val"]["id"])  # noqa: E711

        return r.object(r.args(pairs)).do(without)["changes"].default([]).map(became)

    return _plain(r.json(_Slot("rows")).do(gone))


def beat(table: str, name: str, number: int) -> RqlQuery:
    """Write a client's heartbeat, the latest of which counts."""
    return _with(_beat(table), name=name, number=number)


@cache
def _beat(table: str) -> Any:
    row = {"id": _Slot("name"), "n": _Slot("number"), "at": r.now()}
    return _plain(r.table(table).insert(row, durability="soft", conflict="replace"))


def sweep(table: str, age: int) -> RqlQuery:
    """Remove heartbeats that are older than so many seconds."""
    old = r.table(table).filter(lambda row: row["at"] < r.now() - age)
    return old.delete(durability="soft")


def get(table: str, key: Key) -> RqlQuery:
    """One row, or null."""
    return _with(_get(table), key=json.dumps(key))


@cache
def _get(table: str) -> Any:
    return _plain(r.table(table, read_mode="majority").get(r.json(_Slot("key"))))


def read(table: str, keys: Sequence[Key]) -> RqlQuery:
    """The rows of these keys that are there."""
    return r.table(table, read_mode="majority").get_all(r.args(r.json(json.dumps(keys))))


def scan(table: str, lower: Key, upper: Key) -> RqlQuery:
    """The rows of a range."""
    sure = r.table(table, read_mode="majority")
    return sure.between(r.json(json.dumps(lower)), r.json(json.dumps(upper)))


# --- answers ------------------------------------------------------------


def verdict(given: Any) -> Verdict:
    """Raises what it says where that isn't about the row."""
    if given == 0:
        return Verdict("inserted")
    if given == 1:
        return Verdict("present")
    reason, there = given
    return Verdict("conflict", row_of(there)) if reason == OTHER else refused(str(reason))


def refused(reason: str) -> Verdict:
    """Errors of a write come as values, row by row. Some are the row's fault, the rest is tried again."""
    text = " ".join(reason.split())[:300]
    if any(said in text for said in ("too long", "too large", "over size limit", "write hook")):
        return Verdict("refused", reason=text)
    raise (StoreError if "required `write` permission" in text else StoreUnavailable)(text)
