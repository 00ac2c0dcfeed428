"""A study on a real S3-compatible server, through the settings of production."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import boto3
import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command

from survey.models import PairImage
from tests.factories import make_running
from tests.workers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A moto server on a port of its own choice, with one bucket."""
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"]
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: b"Running on http" in log.read_bytes(), f"moto listens ({log})")
        endpoint = next(part for part in log.read_text().split() if part.startswith("http://127.0.0.1:"))
        with urllib.request.urlopen(endpoint, timeout=60) as answer:
            assert answer.status == 200
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="test-access",
            aws_secret_access_key="test-secret-0123456789",
        )
        client.create_bucket(Bucket="images")
        yield endpoint
    finally:
        server.kill()
        server.wait()


def test_study_keeps_its_images_in_a_bucket_and_a_backup_brings_them_home(settings, s3_endpoint, tmp_path) -> None:
    local = settings.STORAGES
    settings.STORAGES = local | {
        "default": {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": {
                "bucket_name": "images",
                "endpoint_url": s3_endpoint,
                "region_name": "us-east-1",
                "access_key": "test-access",
                "secret_key": "test-secret-0123456789",
                "file_overwrite": True,
                "default_acl": None,
                "querystring_auth": True,
            },
        }
    }
    version = make_running()
    images = PairImage.objects.filter(pair__study=version.study)
    assert images.count() == 12
    for image in images:
        with default_storage.open(image.served) as file:
            assert hashlib.sha256(file.read()).hexdigest() == image.served_sha256
    call_command("backup", tmp_path / "backup", verbosity=0)
    settings.STORAGES = local
    assert not default_storage.exists(images.first().served)
    call_command("flush", interactive=False, verbosity=0)
    call_command("restore", tmp_path / "backup", verbosity=0)
    image = PairImage.objects.first()
    with default_storage.open(image.served) as file:
        assert hashlib.sha256(file.read()).hexdigest() == image.served_sha256
