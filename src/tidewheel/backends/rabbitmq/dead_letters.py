"""Dead letters, for people: looking at them, putting them back, deleting them.

What is put back is published first, confirmed, and then taken away: who dies between the two leaves both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tidewheel.backends.rabbitmq.letters import Letter, revived, view
from tidewheel.backends.rabbitmq.reading import Reading, reading
from tidewheel.backends.rabbitmq.store import Store
from tidewheel.contract import JobFilter
from tidewheel.core.job import JobView

Key = tuple[str, str, bytes]
"""One job may have died twice: then it has two letters. What others put there may have no id, or the same."""


class DeadLetters:
    """See `tidewheel.contract.DeadLetters`. Every call reads all letters of the queues that it is about."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def jobs(self, which: JobFilter, limit: int = 50, before: str | None = None) -> Sequence[JobView]:
        ids = frozenset(which.ids)
        if which.state not in (None, "dead") or limit <= 0:
            return []
        found: dict[Key, Letter] = {}

        def seen(letter: Letter, _: int) -> None:
            if (ids and letter.id not in ids) or (before is not None and letter.id >= before) or which.task not in (None, letter.task):
                return
            _add(found, letter)
            if len(found) > 2 * limit + 1000:  # so that a long queue needs no more memory than a page
                for key in sorted(found, reverse=True)[limit:]:
                    del found[key]

        with reading(self._store) as session:
            for queue in self._queues(which.queue):
                with session.hold(queue, seen):
                    pass
        return [view(found[key]) for key in sorted(found, reverse=True)[:limit]]

    def revive(self, ids: Sequence[str]) -> Sequence[bool]:
        return self._take_away(ids, revive=True)

    def bury(self, ids: Sequence[str]) -> Sequence[bool]:
        return self._take_away(ids, revive=False)

    def _take_away(self, ids: Sequence[str], *, revive: bool) -> list[bool]:
        wanted, taken = set(ids), set[str]()
        if wanted:
            with reading(self._store) as session:
                for queue in self._queues(None):
                    taken |= self._from(session, queue, wanted, revive)
        answers: list[bool] = []
        for id_ in ids:
            answers.append(id_ in taken)
            taken.discard(id_)
        return answers

    def _from(self, session: Reading, queue: str, wanted: set[str], revive: bool) -> set[str]:
        found: dict[Key, Letter] = {}
        tags: list[int] = []

        def seen(letter: Letter, tag: int) -> None:
            if letter.id in wanted:
                _add(found, letter)
                tags.append(tag)

        with session.hold(queue, seen) as taken:
            if revive:
                self._store.publish([revived(self._store, letter) for letter in found.values()], {x.meta.queue for x in found.values()})
            taken.update(tags)
        return {letter.id for letter in found.values()}

    def _queues(self, queue: str | None) -> Iterable[str]:
        return sorted(self._store.queues()) if queue is None else [queue]


def _add(found: dict[Key, Letter], letter: Letter) -> None:
    key = (letter.id, letter.task, letter.body)
    other = found.get(key)
    if other is None or other.died <= letter.died:
        found[key] = letter
