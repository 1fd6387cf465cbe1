"""Remove bytes that belong to nothing: a process that was killed at the wrong moment leaves them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ..base import Transactions
from ..shapes import Sql
from . import contents, uploads
from .blobs import ID_CHARS
from .contents import Places

_AT_ONCE = 20
"""Contents that one transaction removes."""

_LOST_PLACES = (
    "SELECT DISTINCT place FROM piece WHERE place NOT IN (SELECT place FROM blob WHERE place IS NOT NULL)"
    " AND substr(place, 1, ?) NOT IN (SELECT id FROM file WHERE hash IS NULL)"
)


def sweep(folder: Path, store: Transactions) -> int:
    """Remove files below `folder` and pieces that belong to nothing; return how many contents and rests that were."""
    return _sweep_arriving(folder, store) + _sweep_contents(folder, store) + store.write_with(_sweep_pieces)


def remove_all(places: Places, store: Transactions, now: int) -> int:
    """Drop files that wait for too long, and remove all bytes that belong to no file; return as `sweep`.

    Raises StorageUnavailable after all that lies elsewhere.
    """
    folder = places.folder
    while store.write_with(lambda sql: uploads.drop_abandoned(sql, now)):
        pass
    store.write_with(uploads.drop_lost)
    found = 0
    while count := store.write_with(lambda sql: contents.remove_dropped(sql, folder, _AT_ONCE)):
        found += count
    found += sweep(folder, store)
    found += store.write_with(lambda sql: contents.drop_abandoned(sql, now - uploads.DAY_MS))
    while contents.remove_objects(store, places, _AT_ONCE):
        pass
    return found


def _sweep_pieces(sql: Sql) -> int:
    sql.alone("blob")
    lost = [place for (place,) in list(sql.all(_LOST_PLACES, ID_CHARS)) if not _is_loaded(sql, place)]
    for place in lost:
        sql.run("DELETE FROM piece WHERE place = ?", place)
    return len(lost)


def _is_loaded(sql: Sql, place: str) -> bool:
    """Return True if the pieces may be those of a content that an import brings just now: a file of it is there."""
    try:
        found = bytes.fromhex(place)
    except ValueError:
        return False
    return sql.one("SELECT 1 FROM file WHERE hash = ? OR thumb = ?", found, found) is not None


def _sweep_arriving(folder: Path, store: Transactions) -> int:
    """Remove the files in ``arriving`` of uploads that are no more; a file there is younger than its row."""
    found = 0
    for path in (folder / "arriving").glob("*"):
        if not store.read_with(partial(_is_arriving, upload=path.name[:ID_CHARS])):
            path.unlink(missing_ok=True)
            found += 1
    return found


def _is_arriving(sql: Sql, upload: str) -> bool:
    row = sql.one("SELECT hash FROM file WHERE id = ?", upload)
    return row is not None and row[0] is None


def _sweep_contents(folder: Path, store: Transactions) -> int:
    """Remove contents without a row, one folder at a time."""

    def work(sql: Sql, part: Path) -> int:
        sql.alone("blob")
        names = [path for path in part.iterdir() if len(part.name + path.name) == 64]
        lost = [
            path for path in names
            if sql.one("SELECT 1 FROM blob WHERE hash = ?", bytes.fromhex(part.name + path.name)) is None
        ]  # fmt: skip
        for path in lost:
            path.unlink(missing_ok=True)
        return len(lost)

    parts = [part for part in folder.glob("??") if part.is_dir()]
    return sum(store.write_with(partial(work, part=part)) for part in parts)
