import re

import pytest
import torch

from diffusion.device import chosen_device


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert chosen_device("auto") == torch.device("cuda")


def test_one_of_several_gpus_is_taken_by_its_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert chosen_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ValueError, match="sees 2 CUDA devices here; install a CUDA build and driver"):
        chosen_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "gpu0", "cuda:", "cuda:-1", "cuda:\u0661", "CUDA", "meta", "cpu:0", ""])
def test_name_that_is_no_device_is_refused_with_what_is_allowed(name):
    told = f"BLINDPAIR_DEVICE is {name!r}; give auto, cpu, cuda, or cuda:N for one of several GPUs"
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        chosen_device(name)


def test_error_names_the_option_that_gave_the_name():
    with pytest.raises(ValueError, match="--device is 'gpu'"):
        chosen_device("gpu", named_by="--device")
