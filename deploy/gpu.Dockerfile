# The GPU image: training and generation. The host brings the driver, the torch wheel brings CUDA.
FROM python:3.12.11-slim-bookworm AS build
WORKDIR /app
COPY deploy/gpu.lock ./
# Packages change less often than our own files: their layer comes first, every file checked against its digest.
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes --requirement gpu.lock
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
USER 10001:10001
CMD ["celery", "-A", "config", "worker", "--queues", "gpu", "--concurrency", "1"]
