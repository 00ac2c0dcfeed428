"""What `collectstatic` makes for a server: hashed names everywhere, also where one module imports another."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMPORT = re.compile(r'(?:from|import)\s+"(\./[^"]+)"')
HASHED = re.compile(r"\.[0-9a-f]{12}\.js$")


def test_modules_import_each_other_by_hashed_names_that_exist(tmp_path: Path) -> None:
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings.prod",
        "BLINDPAIR_SECRET_KEY": "only-for-this-test-" + "0123456789abcdefghijklmnopqrstuvwxyz",
        "BLINDPAIR_ALLOWED_HOSTS": "study.example.org",
        "BLINDPAIR_STATIC_ROOT": str(tmp_path / "static"),
        "BLINDPAIR_DATA_DIR": str(tmp_path / "data"),
    }
    subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"],
        cwd=ROOT,
        env=environment,
        check=True,
        timeout=600,
    )
    names = json.loads((tmp_path / "static/staticfiles.json").read_text())["paths"]
    ours = {name: target for name, target in names.items() if name.startswith("survey/js/")}
    assert len(ours) >= 10
    imports = []
    for name, target in ours.items():
        assert HASHED.search(target), target
        file = tmp_path / "static" / target
        imports += [(name, file.parent / found) for found in IMPORT.findall(file.read_text())]
    assert len(imports) >= 10
    for name, imported in imports:
        assert HASHED.search(imported.name), f"{name} imports {imported.name}"
        assert imported.is_file(), f"{name} imports {imported.name}, which is not there"
