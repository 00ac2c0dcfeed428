"""The test suite: a fixed key, fast hashing; the database and broker are real ones that the fixtures start."""

from config.settings.base import *

SECRET_KEY = "a-key-for-tests-only-" + "0123456789abcdefghijklmnopqrstuvwxyz"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DATABASES["default"]["CONN_MAX_AGE"] = 0
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # Django's own choice, a shared memory database, locks whole tables where a file would let the second writer wait.
    DATABASES["default"]["TEST"] = {"NAME": DATA_DIR / "tests.sqlite3"}
    DATA_DIR.mkdir(parents=True, exist_ok=True)
# The thread that renews a job's lease cannot see a job within a test's own transaction: let its first renewal be late.
# Workers that tests start are told a lease of their own.
JOB_LEASE_SECONDS = env.integer("BLINDPAIR_JOB_LEASE_SECONDS", 3600, minimum=2)
