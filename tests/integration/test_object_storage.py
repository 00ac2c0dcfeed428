"""A study on a real S3-compatible server, through the settings of production."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command

from survey.models import PairImage
from survey.tokens import image_token
from tests.copies import copy_bytes, copy_folder, copy_name
from tests.factories import make_running
from tests.workers import process_environment, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).parents[2]


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


def storage_of_production(endpoint: str) -> dict:
    """Return what the settings of production make of the variables of a bucket."""
    environment = process_environment() | {
        "DJANGO_SETTINGS_MODULE": "config.settings.prod",
        "BLINDPAIR_SECRET_KEY": "a-key-for-tests-only-0123456789abcdefghijklmnopqrstuvwxyz",
        "BLINDPAIR_ALLOWED_HOSTS": "study.example.org",
        "BLINDPAIR_S3_BUCKET": "images",
        "BLINDPAIR_S3_ENDPOINT": endpoint,
        "BLINDPAIR_S3_REGION": "us-east-1",
        "BLINDPAIR_S3_ACCESS_KEY": "test-access",
        "BLINDPAIR_S3_SECRET_KEY": "test-secret-0123456789",
    }
    code = "import json; from django.conf import settings; print(json.dumps(settings.STORAGES['default']))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_study_keeps_its_images_in_a_bucket_and_a_backup_brings_them_home(
    settings, client, s3_endpoint, tmp_path
) -> None:
    local = settings.STORAGES
    settings.STORAGES = local | {"default": storage_of_production(s3_endpoint)}
    version = make_running()
    images = PairImage.objects.filter(pair__study=version.study)
    assert images.count() == 12
    kept = {}
    for image in images:
        content = kept[image.pk] = copy_bytes(image)
        token = image_token(served=copy_folder(image), trial_id=uuid.uuid4(), side="left")
        assert client.get(f"/i/{token}.0.webp").content == content
    call_command("backup", tmp_path / "backup", verbosity=0)
    settings.STORAGES = local
    assert not default_storage.exists(copy_name(images.first()))
    call_command("flush", interactive=False, verbosity=0)
    call_command("restore", tmp_path / "backup", verbosity=0)
    image = PairImage.objects.first()
    assert copy_bytes(image) == kept[image.pk]
