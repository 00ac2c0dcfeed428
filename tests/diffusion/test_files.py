"""A folder belongs to one process at a time; the system lets go of it when that process is killed."""

import signal
import subprocess
import sys

import pytest

from diffusion.files import FolderInUse, folder_locked, is_locked

HOLDER = "import sys, time\nfrom pathlib import Path\nfrom diffusion.files import folder_locked\n"
HOLDER += "with folder_locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"


def test_a_killed_process_lets_go(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        assert is_locked(tmp_path)
        with pytest.raises(FolderInUse, match="wait for it to end, or stop it"), folder_locked(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not is_locked(tmp_path)
    with folder_locked(tmp_path):
        assert is_locked(tmp_path)


def test_a_folder_that_nobody_used_is_free(tmp_path):
    assert not is_locked(tmp_path / "nowhere")
