from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROBE = """
import sys, django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.test import Client
client = Client(SERVER_NAME="localhost")
pages = {path: client.get(path).status_code for path in ("/admin/login/", "/healthz")}
assert pages["/admin/login/"] == 200, pages
assert pages["/healthz"] == 200, pages
heavy = {"torch", "matplotlib", "sklearn", "pandas", "diffusion.schedule"} & set(sys.modules)
print("heavy:", sorted(heavy))
"""


def test_a_web_process_loads_neither_torch_nor_matplotlib(tmp_path: Path) -> None:
    environment = {
        "PATH": "/usr/bin:/bin",
        "DJANGO_SETTINGS_MODULE": "config.settings.dev",
        "BLINDPAIR_DATA_DIR": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", PROBE]
    result = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip().splitlines()[-1] == "heavy: []"
