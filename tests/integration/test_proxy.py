"""The reference deployment's nginx, as it is configured, before gunicorn with the settings of production."""

from __future__ import annotations

import http.client
import os
import shutil
import ssl
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.conf import settings

from benchmarks.lab import free_port
from survey.models import PairImage
from survey.tokens import image_token
from tests.copies import copy_bytes, copy_folder, copy_name
from tests.factories import make_running
from tests.workers import process_environment, wait_until

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: nginx-light)"),
]
ROOT = Path(__file__).parents[2]
METRICS_TOKEN = "metrics-token-of-the-tests"


@dataclass
class Proxy:
    plain: int
    tls: int
    context: ssl.SSLContext

    def ask(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        client = http.client.HTTPSConnection("127.0.0.1", self.tls, timeout=60, context=self.context)
        try:
            client.request(method, path, body, headers)
            answer = client.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            client.close()

    def ask_plainly(self, path: str) -> tuple[int, str]:
        client = http.client.HTTPConnection("127.0.0.1", self.plain, timeout=60)
        try:
            client.request("GET", path)
            answer = client.getresponse()
            return answer.status, answer.headers.get("Location", "")
        finally:
            client.close()


def write_certificate(folder: Path) -> None:
    """Write a certificate of this machine and its key under the names of the deployment."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "blindpair tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def configuration(folder: Path, *, web: int, plain: int, tls: int) -> str:
    """Return deploy/nginx.conf with the places and ports of this machine, and nothing else changed."""
    text = (ROOT / "deploy/nginx.conf").read_text()
    here = {
        "/tmp/": f"{folder}/",
        "/dev/stderr": f"{folder}/error.log",
        "/dev/stdout": f"{folder}/access.log",
        "/etc/nginx/tls/": f"{folder}/",
        "/etc/nginx/mime.types": f"{folder}/mime.types",
        "/data/media/": f"{settings.MEDIA_ROOT}/",
        "server web:8000": f"server 127.0.0.1:{web}",
        "listen 8080": f"listen 127.0.0.1:{plain}",
        "listen 8443 ssl": f"listen 127.0.0.1:{tls} ssl",
    }
    for deployed, local in here.items():
        assert deployed in text, deployed
        text = text.replace(deployed, local)
    # Debian's nginx is older than the deployment's and names HTTP/2 elsewhere.
    assert "http2 on;" in text
    # The workers of a master that is root would become somebody who may not read pytest's folders.
    return ("user root;\n" if os.geteuid() == 0 else "") + text.replace("http2 on;", "")


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    write_certificate(tmp_path)
    (tmp_path / "mime.types").write_text("types { image/png png; }\n")
    web, plain, tls = (free_port() for _ in range(3))
    (tmp_path / "nginx.conf").write_text(configuration(tmp_path, web=web, plain=plain, tls=tls))
    environment = process_environment() | {
        "DJANGO_SETTINGS_MODULE": "config.settings.prod",
        "BLINDPAIR_SECRET_KEY": settings.SECRET_KEY,
        "BLINDPAIR_ALLOWED_HOSTS": "127.0.0.1",
        "BLINDPAIR_PROXIES": "1",
        "BLINDPAIR_IMAGE_ACCEL": "/protected/",
        "BLINDPAIR_METRICS_TOKEN": METRICS_TOKEN,
        "BLINDPAIR_BIND": f"127.0.0.1:{web}",
        "WEB_CONCURRENCY": "1",
    }
    commands = [
        [sys.executable, "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py", "config.wsgi"],
        [NGINX, "-e", str(tmp_path / "error.log"), "-c", str(tmp_path / "nginx.conf"), "-g", "daemon off;"],
    ]
    with (tmp_path / "servers.log").open("ab") as log:
        servers = [subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log) for command in commands]
    made = Proxy(plain, tls, ssl.create_default_context(cafile=str(tmp_path / "fullchain.pem")))

    def is_up() -> bool:
        assert all(server.poll() is None for server in servers), (tmp_path / "servers.log").read_text()[-3000:]
        try:
            return made.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    try:
        wait_until(is_up, "nginx and gunicorn serve", seconds=300)
        yield made
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait()


def test_images_come_from_the_proxy_after_the_application_has_checked_the_token(proxy: Proxy) -> None:
    version = make_running()
    images = PairImage.objects.filter(pair__study=version.study)
    seen = set()
    for image in images:
        token = image_token(served=copy_folder(image), trial_id=uuid.uuid4(), side="left")
        status, headers, content = proxy.ask("GET", f"/i/{token}.0.webp")
        assert (status, content) == (200, copy_bytes(image))
        # Date aside, every answer has the same headers: none tells one image from another.
        seen.add(tuple((name, value) for name, value in headers.items() if name != "Date"))
        assert headers["Content-Type"] == "image/webp"
        assert headers["Cache-Control"].startswith("private")
    assert len(images) == 12
    assert len(seen) == 1, seen
    names = {name for name, _ in seen.pop()}
    assert not {"ETag", "Last-Modified", "X-Accel-Redirect", "Set-Cookie"} & names
    image = images[0]
    for path in (f"/protected/{copy_name(image)}", f"/protected/../protected/{copy_name(image)}", f"/i/{'x' * 60}.png"):
        assert proxy.ask("GET", path)[0] == 404, path


def test_the_proxy_ends_tls_hides_the_metrics_and_keeps_floods_of_bytes_out(proxy: Proxy) -> None:
    assert proxy.ask_plainly("/readyz") == (301, "https://127.0.0.1/readyz")
    assert proxy.ask_plainly("/proxy-health")[0] == 200
    status, headers, _ = proxy.ask("GET", "/healthz")
    assert (status, headers["Strict-Transport-Security"][:16]) == (200, "max-age=31536000")
    assert proxy.ask("GET", "/metrics", Authorization=f"Bearer {METRICS_TOKEN}")[0] == 404
    too_much = {"Content-Length": str(5 << 20), "Content-Type": "application/json"}
    assert proxy.ask("POST", "/r/anything/api/votes", **too_much)[0] == 413
    # Where zips of images come in, the application says what is too large, and here who may.
    assert proxy.ask("POST", "/api/v1/studies/any/import/", **too_much)[0] == 401
