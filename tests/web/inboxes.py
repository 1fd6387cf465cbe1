"""A model of inboxes: what each account has to see, counted from what was done, and nothing else."""

from __future__ import annotations

from typing import Any


class Room:
    """A room's messages in order: their ids, and those that are deleted."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.deleted: set[int] = set()
        self.named: dict[int, set[str]] = {}
        """By message, the names that it mentions."""

    @property
    def last(self) -> int:
        return max((each for each in self.sent if each not in self.deleted), default=0)

    def up_to(self, number: int) -> int:
        return sum(each <= number for each in self.sent)


class Place:
    """Where somebody stands in a room."""

    def __init__(self, read: tuple[int, int]) -> None:
        self.read = read


class Model:
    """The truth. Every method is told what has been stored, with the seq that the server answered."""

    def __init__(self, rooms: list[str], people: list[str]) -> None:
        self.rooms = {name: Room() for name in rooms}
        self.places: dict[tuple[str, str], Place] = {}
        self.people = people
        self.mentions: dict[tuple[str, str], set[int]] = {}
        self.unseen: dict[tuple[str, str], set[int]] = {}

    def join(self, who: str, room: str, head: int) -> None:
        if (who, room) not in self.places:
            self.places[who, room] = Place((head, len(self.rooms[room].sent)))

    def leave(self, who: str, room: str) -> None:
        if self.places.pop((who, room), None) is None:
            return  # nothing was left, and who was only mentioned still is
        self.mentions.pop((who, room), None)
        self.unseen.pop((who, room), None)

    def send(self, who: str, room: str, number: int, names: set[str]) -> None:
        there, place = self.rooms[room], self.places.get((who, room))
        before = there.last
        there.sent.append(number)
        if place is None:
            self.join(who, room, number)
        elif place.read[0] >= before:
            place.read = (number, len(there.sent))
        self._name(room, number, names - {who})

    def edit(self, who: str, room: str, number: int, names: set[str]) -> None:
        old = self.rooms[room].named.get(number, set())
        for name in old - names:
            self._forget(name, room, number)
        self._name(room, number, names - {who})

    def _name(self, room: str, number: int, names: set[str]) -> None:
        self.rooms[room].named[number] = names
        for name in names:
            if number not in self.mentions.setdefault((name, room), set()):
                self.mentions[name, room].add(number)
                self.unseen.setdefault((name, room), set()).add(number)

    def _forget(self, name: str, room: str, number: int) -> None:
        for rows in (self.mentions, self.unseen):
            rows.get((name, room), set()).discard(number)

    def delete(self, room: str, number: int) -> None:
        self.rooms[room].deleted.add(number)
        self.rooms[room].named.pop(number, None)
        for name in self.people:
            self._forget(name, room, number)

    def mark_read(self, who: str, room: str, number: int, head: int, *, back: bool) -> None:
        there = self.rooms[room]
        self.join(who, room, head)
        place = self.places[who, room]
        if number >= there.last and not (back and number < place.read[0]):
            place.read = (max(place.read[0], min(number, head)), len(there.sent))
        elif back or number > place.read[0]:
            place.read = (number, there.up_to(number))
        named = self.mentions.get((who, room), set())
        unseen = self.unseen.setdefault((who, room), set())
        unseen -= {each for each in unseen if each <= place.read[0]}
        if back:
            unseen |= {each for each in named if each > place.read[0]}

    def inbox(self, who: str) -> dict[str, Any]:
        """The rooms of the inbox of `who`, as the API shows them."""
        found: dict[str, Any] = {}
        for name, room in self.rooms.items():
            place, mentions = self.places.get((who, name)), len(self.unseen.get((who, name), ()))
            if place is None and not mentions:
                continue
            entry: dict[str, Any] = {"last": room.last, "messages": len(room.sent), "mentions": mentions}
            if place is not None:
                entry["read"] = {"id": place.read[0], "messages": place.read[1]}
                unread = room.last > place.read[0]
                entry["unread"] = max(1, len(room.sent) - place.read[1]) if unread else 0
            found[name] = {field: value for field, value in entry.items() if value}
        return found
