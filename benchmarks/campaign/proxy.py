"""The reference deployment's nginx on this machine: deploy/nginx.conf with other places and ports, and nothing else."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["NGINX", "Proxy"]

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
ROOT = Path(__file__).parents[2]


class Proxy:
    """Writes what nginx needs into a folder, and talks to it over TLS."""

    def __init__(self, folder: Path, *, media: Path, web: int, desk: int, plain: int, tls: int) -> None:
        self.folder, self.plain, self.tls = folder, plain, tls
        self._write_certificate()
        (folder / "mime.types").write_text("types { image/png png; }\n")
        ports = {
            "server web:8000": f"server 127.0.0.1:{web}",
            "server desk:8000": f"server 127.0.0.1:{desk}",
            "listen 8080": f"listen 127.0.0.1:{plain}",
            "listen 8443 ssl": f"listen 127.0.0.1:{tls} ssl",
        }
        (folder / "nginx.conf").write_text(self._configuration(media, ports))
        self.context = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))

    @property
    def command(self) -> list[str]:
        folder = self.folder
        return [str(NGINX), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf", "-g", "daemon off;"]

    def _configuration(self, media: Path, ports: dict[str, str]) -> str:
        text = (ROOT / "deploy/nginx.conf").read_text()
        here = {
            "/tmp/": f"{self.folder}/",  # noqa: S108  what the deployed file says, to be replaced
            "/dev/stderr": f"{self.folder}/error.log",
            "/dev/stdout": f"{self.folder}/access.log",
            "/etc/nginx/tls/": f"{self.folder}/",
            "/etc/nginx/mime.types": f"{self.folder}/mime.types",
            "/data/media/": f"{media}/",
            # Debian's nginx is older than the deployment's and names HTTP/2 elsewhere.
            "http2 on;": "",
        }
        for deployed, local in (here | ports).items():
            assert deployed in text, deployed
            text = text.replace(deployed, local)
        # The workers of a master that is root would become somebody who may not read the folders of tests.
        return ("user root;\n" if os.geteuid() == 0 else "") + text

    def _write_certificate(self) -> None:
        """Write a certificate of this machine and its key under the names of the deployment."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "blindpair tests")])
        now = datetime.now(UTC)
        here = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(here, critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        (self.folder / "fullchain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.folder / "privkey.pem").write_bytes(private)

    def client(self, *, timeout: float = 60.0) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.tls, timeout=timeout, context=self.context)

    def ask(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        client = self.client()
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

    def half_sent(self, path: str, *, length: int, source: str = "127.0.0.1", **headers: str) -> socket.socket:
        """Return a connection on which a POST has begun whose body never comes."""
        plain = socket.create_connection(("127.0.0.1", self.tls), timeout=20, source_address=(source, 0))
        line = self.context.wrap_socket(plain, server_hostname="127.0.0.1")
        lines = {"Host": "127.0.0.1", "Content-Length": str(length), "Content-Type": "multipart/form-data; boundary=x"}
        head = "".join(f"{name}: {value}\r\n" for name, value in (lines | headers).items())
        line.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n--x\r\nConte".encode())
        return line
