# The web image: pages, API, reports, housekeeping. No torch.
FROM python:3.12.11-slim-bookworm AS build
WORKDIR /app
COPY deploy/web.lock ./
# Packages change less often than our own files: their layer comes first, every file checked against its digest.
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes --requirement web.lock
COPY pyproject.toml README.md LICENSE ./
COPY analysis analysis
COPY config config
COPY diffusion diffusion
COPY generation generation
COPY jobs jobs
COPY survey survey
COPY training training
RUN /venv/bin/pip install --no-cache-dir --no-deps .

FROM python:3.12.11-slim-bookworm
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
RUN useradd --uid 10001 --no-create-home blindpair && mkdir -p /data/tmp && chown -R 10001:10001 /data
COPY --from=build /venv /venv
COPY . .
# Collected at build time with a key that is used for nothing else and kept nowhere.
RUN BLINDPAIR_STATIC_ROOT=/app/static BLINDPAIR_DATA_DIR=/tmp/build BLINDPAIR_ALLOWED_HOSTS=build \
    BLINDPAIR_SECRET_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(50))')" \
    DJANGO_SETTINGS_MODULE=config.settings.prod python manage.py collectstatic --noinput
USER 10001:10001
EXPOSE 8000
CMD ["python", "deploy/serve.py"]
