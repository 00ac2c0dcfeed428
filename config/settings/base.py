"""Every setting by name. ``dev`` adds what one machine needs, ``prod`` only tightens."""

from pathlib import Path

from config import env

BASE_DIR = Path(__file__).resolve().parents[2]
DATA_DIR = Path(env.text("BLINDPAIR_DATA_DIR", str(BASE_DIR / "var"))).resolve()

DEBUG = False
ALLOWED_HOSTS = env.words("BLINDPAIR_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("BLINDPAIR_TRUSTED_ORIGINS")
# The address that links in mails, commands and webhooks start with.
PUBLIC_URL = env.text("BLINDPAIR_PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")

INSTALLED_APPS = [
    "config",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "jobs",
    "training",
    "generation",
    "survey",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "config.middleware.RequestMeasure",
    "config.middleware.ContentSecurityPolicy",
    "config.middleware.RefuseNulls",
    "config.middleware.CookieFree",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.throttle.Throttle",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {"default": env.database("BLINDPAIR_DATABASE_URL", f"sqlite:///{DATA_DIR / 'db.sqlite3'}")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]

LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "config.settings.formats"
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("ar", "العربية")]
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATIC_ROOT = Path(env.text("BLINDPAIR_STATIC_ROOT", str(DATA_DIR / "static")))
# Images are never under a public address: views check a token and read them from here.
MEDIA_ROOT = Path(env.text("BLINDPAIR_MEDIA_ROOT", str(DATA_DIR / "media")))

STORAGES = {
    "default": {"BACKEND": "config.storage.AtomicFileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# How long the address of an image works, and the proxy's internal locations (X-Accel-Redirect), if any, that send one
# image and the two of a trial, one behind the other.
RATER_IMAGE_SECONDS = env.integer("BLINDPAIR_IMAGE_SECONDS", 3600, minimum=60)
RATER_IMAGE_ACCEL = env.text("BLINDPAIR_IMAGE_ACCEL")
RATER_PAIR_ACCEL = env.text("BLINDPAIR_PAIR_ACCEL")

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
# Names as in Django 6's django.utils.csp, so that the move there deletes config/middleware.py.
SECURE_CSP = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    # A trial's images come in one answer, and are shown as parts of it: blobs, which tests of the page read again.
    "img-src": ["'self'", "data:", "blob:"],
    "font-src": ["'self'"],
    "connect-src": ["'self'", "blob:"],
    "form-action": ["'self'"],
    "base-uri": ["'none'"],
    "frame-ancestors": ["'none'"],
}

# How many proxies of ours stand in front and say whom they serve (X-Forwarded-For); 0 believes nobody.
PROXIES = env.integer("BLINDPAIR_PROXIES", 0)
# Visits that may begin from one network in an hour; 0 for any number. A whole class may sit behind one address.
STARTS_PER_HOUR = env.integer("BLINDPAIR_STARTS_PER_HOUR", 200)
# Visits to one study that may begin from one network in a day: what one person with an open link can do at most.
STUDY_STARTS_PER_DAY = env.integer("BLINDPAIR_STUDY_STARTS_PER_DAY", 60)

# Hosts inside the own network that webhooks may reach; everything else must have a public address.
OUTGOING_PRIVATE_HOSTS = frozenset(env.words("BLINDPAIR_OUTGOING_PRIVATE_HOSTS"))

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["survey.api.auth.TokenAuthentication", "survey.api.auth.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["survey.api.auth.HasScope"],
    "DEFAULT_THROTTLE_CLASSES": [
        "rest_framework.throttling.AnonRateThrottle",
        "rest_framework.throttling.UserRateThrottle",
    ],
    "DEFAULT_THROTTLE_RATES": {
        "anon": env.text("BLINDPAIR_API_RATE_ANONYMOUS", "30/min"),
        "user": env.text("BLINDPAIR_API_RATE_USER", "600/min"),
    },
    "DEFAULT_SCHEMA_CLASS": "survey.api.schema.ProblemSchema",
    "EXCEPTION_HANDLER": "survey.api.errors.problem_handler",
    "URL_FORMAT_OVERRIDE": None,
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Blindpair",
    "DESCRIPTION": "Run blind pairwise image studies: everything the admin does to a study, for programs.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "survey.api.schema.problem_component",
    ],
    "ENUM_NAME_OVERRIDES": {
        "StudyState": "survey.models.study.Study.State",
        "SessionState": "survey.models.rater.RaterSession.State",
        "JobState": "jobs.models.Job.State",
    },
}

# Without a broker, jobs wait in their table for `manage.py run_jobs`; with one, Celery workers are told at once.
CELERY_BROKER_URL = env.text("BLINDPAIR_BROKER_URL")
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Celery's own logging set-up would take over Django's.
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# What workers and the reaper, which have no port, touch as long as they live; empty touches nothing.
ALIVE_PATH = env.text("BLINDPAIR_ALIVE_PATH")
JOB_LEASE_SECONDS = env.integer("BLINDPAIR_JOB_LEASE_SECONDS", 60, minimum=2)
JOB_MAX_ATTEMPTS = env.integer("BLINDPAIR_JOB_MAX_ATTEMPTS", 3, minimum=1)
# A slice of training ends with a saved state; a killed worker loses at most one.
TRAINING_SLICE_SECONDS = env.integer("BLINDPAIR_TRAINING_SLICE_SECONDS", 600, minimum=1)
# "cpu", "cuda", "cuda:1", or "auto" for CUDA where there is one.
TORCH_DEVICE = env.text("BLINDPAIR_DEVICE", "auto")
# The published Inception weights that FID is defined on; without them `evaluate_images` says what is missing.
INCEPTION_WEIGHTS = env.text("BLINDPAIR_INCEPTION_WEIGHTS")

# Whoever scrapes /metrics sends this as a bearer token; without one the page does not exist.
METRICS_TOKEN = env.text("BLINDPAIR_METRICS_TOKEN")

# Where unhandled errors are reported, without persons, tokens and votes (config/sentry.py); empty reports nowhere.
SENTRY_DSN = env.text("BLINDPAIR_SENTRY_DSN")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"context": {"()": "config.logs.WithContext"}},
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        "json": {"()": "config.logs.JsonLines"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["context"]}},
    "root": {"handlers": ["console"], "level": env.text("BLINDPAIR_LOG_LEVEL", "INFO")},
    # It reports every glyph of a report's figures at INFO.
    "loggers": {"fontTools": {"level": "WARNING"}},
}
