"""SQLite for many threads: who wants to write waits in a queue, not in a loop of naps.

SQLite lets one connection write at a time. Others try again after naps that grow to a tenth of a second, so under load
the database idles while every writer sleeps, and the unlucky sleep for long. Here a transaction first takes its turn: a
lock of the threads, then one of the processes, both of which wake the next waiter at once. The turn is a courtesy that
keeps nothing correct: SQLite's own lock does that, also against programs that know no turns.
"""

from __future__ import annotations

import fcntl
import os
import threading

from django.db.backends.sqlite3 import base

__all__ = ["DatabaseWrapper"]


class _WriterLock:
    """The right to write to one database file, held by one thread of one process on this machine."""

    def __init__(self, path: str) -> None:
        self._among_threads = threading.Lock()
        # Beside the database, as closing any handle of the database itself would drop SQLite's own locks.
        self._file: int | None = os.open(f"{path}-turn", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def take(self, seconds: float) -> bool:
        """Wait for the turn; False when threads of this process held it for so long, so that SQLite may judge."""
        if not self._among_threads.acquire(timeout=seconds):
            return False
        # The kernel gives it back when a process dies, however that happens.
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return True

    def give(self) -> None:
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self._among_threads.release()

    def forget(self) -> None:
        """Let go of a parent's turn in a forked child, where giving it back would take it from the parent."""
        os.close(self._file)
        self._file = None


_writer_locks: dict[str, _WriterLock] = {}
_making = threading.Lock()


def _writer_lock(path: str) -> _WriterLock:
    with _making:
        return _writer_locks.get(path) or _writer_locks.setdefault(path, _WriterLock(path))


def _forget_turns() -> None:
    global _making
    for turn in _writer_locks.values():
        turn.forget()
    _writer_locks.clear()
    # Another of the parent's threads may have held it, and there is none here to give it back.
    _making = threading.Lock()


os.register_at_fork(after_in_child=_forget_turns)


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's connection to SQLite whose transactions take turns."""

    _held: _WriterLock | None = None

    def _start_transaction_under_autocommit(self) -> None:
        if self._held is None and not self.is_in_memory_db():
            turn = _writer_lock(os.path.abspath(self.settings_dict["NAME"]))
            if turn.take(self.settings_dict["OPTIONS"].get("timeout", 5.0)):
                self._held = turn
        try:
            super()._start_transaction_under_autocommit()
        except BaseException:
            self._give_turn()
            raise

    def _commit(self) -> None:
        super()._commit()
        # A commit that failed leaves the transaction open: what rolls it back gives the turn.
        self._give_turn()

    def _rollback(self) -> None:
        try:
            super()._rollback()
        finally:
            self._give_turn()

    def _close(self) -> None:
        try:
            super()._close()
        finally:
            self._give_turn()

    def _give_turn(self) -> None:
        turn, self._held = self._held, None
        if turn is not None:
            turn.give()
