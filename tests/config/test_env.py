from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env


def test_secret_comes_from_a_file_when_one_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("abcdefghij" * 5 + "\n")
    monkeypatch.setenv("X_SECRET_FILE", str(tmp_path / "key"))
    assert env.secret("X_SECRET") == "abcdefghij" * 5


@pytest.mark.parametrize("value", ["", "short", "a" * 60])
def test_secret_refuses_a_missing_or_weak_one(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("X_SECRET", value)
    with pytest.raises(ImproperlyConfigured, match="X_SECRET"):
        env.secret("X_SECRET")


def test_secret_names_a_file_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("X_SECRET_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(ImproperlyConfigured, match="nowhere"):
        env.secret("X_SECRET")


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        (lambda: env.integer("X", 1, minimum=1), "0"),
        (lambda: env.integer("X", 1), "many"),
        (lambda: env.boolean("X", True), "perhaps"),
        (lambda: env.database("X", ""), "mysql://localhost/x"),
    ],
)
def test_unreadable_values_stop_the_start_by_name(monkeypatch: pytest.MonkeyPatch, reader, value: str) -> None:
    monkeypatch.setenv("X", value)
    with pytest.raises(ImproperlyConfigured, match="X "):
        reader()


def test_database_urls_become_settings() -> None:
    server = env.database("UNSET_URL", "postgresql://me:p%40ss@db.example:5433/votes")
    assert (server["USER"], server["PASSWORD"], server["HOST"], server["PORT"], server["NAME"]) == (
        "me",
        "p@ss",
        "db.example",
        "5433",
        "votes",
    )
    socket = env.database("UNSET_URL", "postgresql://postgres:@/postgres?host=/run/pg")
    assert (socket["HOST"], socket["NAME"]) == ("/run/pg", "postgres")
    assert env.database("UNSET_URL", "sqlite:////data/db.sqlite3")["NAME"] == "/data/db.sqlite3"
