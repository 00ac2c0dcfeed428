"""A server: nothing starts without its secrets, cookies and pages go over TLS alone, logs are JSON."""

from config import env
from config.settings.base import *
from config.settings.base import LOGGING, MIDDLEWARE, STORAGES

SECRET_KEY = env.secret("BLINDPAIR_SECRET_KEY")
ALLOWED_HOSTS = env.words("BLINDPAIR_ALLOWED_HOSTS")
if not ALLOWED_HOSTS:
    raise env.ImproperlyConfigured("BLINDPAIR_ALLOWED_HOSTS is not set; name the hosts, for example study.example.org")

MIDDLEWARE = [MIDDLEWARE[0], "whitenoise.middleware.WhiteNoiseMiddleware", *MIDDLEWARE[1:]]
STORAGES = STORAGES | {"staticfiles": {"BACKEND": "config.static_storage.HashedStaticFilesStorage"}}
if bucket := env.text("BLINDPAIR_S3_BUCKET"):
    STORAGES["default"] = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": bucket,
            "endpoint_url": env.text("BLINDPAIR_S3_ENDPOINT") or None,
            "region_name": env.text("BLINDPAIR_S3_REGION") or None,
            "access_key": env.secret("BLINDPAIR_S3_ACCESS_KEY", minimum_length=8),
            "secret_key": env.secret("BLINDPAIR_S3_SECRET_KEY", minimum_length=16),
            # Names are digests: the same name is the same content. Nothing in the bucket is public.
            "file_overwrite": True,
            "default_acl": None,
            "querystring_auth": True,
        },
    }

SECURE_SSL_REDIRECT = env.boolean("BLINDPAIR_TLS_REDIRECT", True)
# Container health checks speak to the process itself, behind the proxy that ends TLS.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = env.integer("BLINDPAIR_HSTS_SECONDS", 31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True

LOGGING["handlers"]["console"]["formatter"] = "json"
