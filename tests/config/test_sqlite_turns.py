"""Writers on SQLite take turns; the turn orders them and keeps nothing correct."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.db import OperationalError

from config import env
from config.sqlite3.base import DatabaseWrapper


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_db_blocker):
    """Return a maker of connections to one file with a table of numbers."""
    monkeypatch.setenv("X", f"sqlite:///{tmp_path / 'turns.sqlite3'}")
    made: list[DatabaseWrapper] = []

    def connect(timeout: float = 60.0) -> DatabaseWrapper:
        settings = {"AUTOCOMMIT": True, "ATOMIC_REQUESTS": False, "CONN_HEALTH_CHECKS": False, "TIME_ZONE": None}
        settings |= {"USER": "", "PASSWORD": "", "HOST": "", "PORT": "", "TEST": {}} | env.database("X", "")
        settings["OPTIONS"] = settings["OPTIONS"] | {"timeout": timeout}
        made.append(DatabaseWrapper(settings))
        made[-1].inc_thread_sharing()
        return made[-1]

    with django_db_blocker.unblock():
        with connect().cursor() as cursor:
            cursor.execute("CREATE TABLE numbers (number INTEGER)")
        yield connect
        for connection in made:
            connection.close()


def begin(connection: DatabaseWrapper) -> None:
    connection.ensure_connection()
    connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)


def end(connection: DatabaseWrapper) -> None:
    connection.commit()
    connection.set_autocommit(True)


def add(connection: DatabaseWrapper, number: int) -> None:
    begin(connection)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO numbers VALUES (%s)", [number])
    end(connection)


def numbers(connection: DatabaseWrapper) -> list[int]:
    with connection.cursor() as cursor:
        return [row[0] for row in cursor.execute("SELECT number FROM numbers").fetchall()]


def numbers_after_a_race(holder: DatabaseWrapper, other: DatabaseWrapper) -> list[int]:
    """Let the other begin to write 2 while the holder's transaction is open, which then writes 1 and ends."""
    waiting = threading.Thread(target=add, args=(other, 2))
    waiting.start()
    with holder.cursor() as cursor:
        cursor.execute("INSERT INTO numbers VALUES (1)")
    end(holder)
    waiting.join(60)
    return numbers(holder)


def test_a_writer_waits_for_another_threads_commit(database) -> None:
    first, second = database(), database()
    begin(first)
    assert numbers_after_a_race(first, second) == [1, 2]


@pytest.mark.parametrize("ending", ["rollback", "close"])
def test_a_transaction_that_fails_gives_its_turn_to_the_next(database, ending: str) -> None:
    first, second = database(), database()
    begin(first)
    getattr(first, ending)()
    waiting = threading.Thread(target=add, args=(second, 2))
    waiting.start()
    waiting.join(60)
    assert numbers(second) == [2]


WRITER = """
import sys, django
django.setup()
from django.db import connection, transaction
for number in range(int(sys.argv[1])):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO numbers VALUES (%s)", [number])
        if sys.argv[2] == "dies":
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)
"""


def write_elsewhere(tmp_path: Path, count: int, manner: str = "lives") -> subprocess.Popen:
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings.dev",
        "BLINDPAIR_DATABASE_URL": f"sqlite:///{tmp_path / 'turns.sqlite3'}",
        "BLINDPAIR_DATA_DIR": str(tmp_path / "data"),
    }
    return subprocess.Popen([sys.executable, "-c", WRITER, str(count), manner], env=environment)


def test_processes_and_threads_write_beside_each_other_and_lose_nothing(database, tmp_path: Path) -> None:
    elsewhere = [write_elsewhere(tmp_path, 50) for _ in range(2)]
    connections = [database() for _ in range(4)]
    threads = [
        threading.Thread(target=lambda own=own: [add(own, number) for number in range(50)]) for own in connections
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [process.wait(120) for process in elsewhere] == [0, 0]
    assert sorted(numbers(connections[0])) == sorted(list(range(50)) * 6)


def test_a_killed_writers_turn_goes_to_the_next_and_its_rows_go_with_it(database, tmp_path: Path) -> None:
    assert write_elsewhere(tmp_path, 1, "dies").wait(120) == -9
    connection = database()
    add(connection, 7)
    assert numbers(connection) == [7]


def test_a_turn_held_too_long_leaves_the_verdict_to_sqlite(database) -> None:
    first, second = database(), database(timeout=0.2)
    begin(first)
    errors: list[Exception] = []

    def try_to_write() -> None:
        try:
            add(second, 2)
        except OperationalError as error:
            errors.append(error)

    waiting = threading.Thread(target=try_to_write)
    waiting.start()
    waiting.join(60)
    end(first)
    assert "locked" in str(errors[0])
    add(second, 3)
    assert numbers(second) == [3]


def test_a_forked_child_takes_turns_of_its_own(database) -> None:
    parent = database()
    begin(parent)
    if not (child := os.fork()):
        # Ending the child's copy must not give away the parent's turn; and nothing of pytest may run in it.
        parent._give_turn()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert numbers_after_a_race(parent, database()) == [1, 2]


def test_a_thousand_pages_of_the_log_make_no_writer_wait_for_the_disk(database, tmp_path) -> None:
    """SQLite would copy them into the database's file, with the turn in hand, and wait for the disk twice."""
    connection = database()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE pages (content TEXT)")
        for _ in range(20):
            cursor.execute("INSERT INTO pages VALUES (%s)", ["x" * 4096 * 100])
    sizes = [(tmp_path / f"turns.sqlite3{suffix}").stat().st_size // 4096 for suffix in ("", "-wal")]
    assert sizes[0] < 100 < 2000 <= sizes[1]
