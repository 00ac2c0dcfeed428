"""The database engine `config.postgresql`: Django's own, with connections that remember."""
