"""The database engine `config.sqlite3`: Django's own, with writers that take turns."""
