"""One machine, no server: SQLite, files under ``var/``, a secret key made on first use."""

import secrets

from config.settings.base import *
from config.settings.base import DATA_DIR


def _own_secret_key() -> str:
    path = DATA_DIR / "secret_key"
    DATA_DIR.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x") as file:
            path.chmod(0o600)
            file.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    return path.read_text()


SECRET_KEY = _own_secret_key()
