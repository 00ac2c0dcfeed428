import subprocess
import sys

import pytest

from diffusion.published import PUBLISHED
from training.learning.config import config_from_dict, read_config
from training.presets import ConfigError, differing, parse_change, preset_names, read_settings

DIGITS = "digits_robust"


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid_and_says_how_to_run_it(name):
    from importlib import resources

    config = read_config(name)

    assert config.name == name
    assert config_from_dict(config.to_dict()) == config
    text = (resources.files("training") / "presets" / f"{name}.toml").read_text()
    assert text.startswith("#")
    assert f"manage.py train_{config.task} --config {name}" in text.split("\nname")[0]


def test_presets_cover_the_published_configurations_the_demo_digits_and_clothing():
    roles = ("denoiser", "vanilla", "robust", "judge")
    digits = {f"{kind}_{role}" for kind in ("digits", "demo") for role in roles}
    robust = {"adm128_classifier_robust", "cifar10_classifier_robust_l2", "cifar10_classifier_robust_linf"}
    clothing = {"fashion_denoiser", "fashion_vanilla", "fashion_judge"}
    assert set(preset_names()) == digits | clothing | robust | set(PUBLISHED)
    for name in PUBLISHED:
        assert read_config(name).network == PUBLISHED[name]


def test_robust_presets_follow_the_published_scripts():
    imagenet, cifar10 = read_config("adm128_classifier_robust"), read_config("cifar10_classifier_robust_l2")

    for config in (imagenet, cifar10):
        assert (config.attack.norm, config.attack.epsilon, config.attack.steps) == ("l2", 0.5, 7)
        optimizer = config.optimizer
        assert (optimizer.iterations, optimizer.batch_size, optimizer.learning_rate) == (300_000, 128, 3e-4)
        assert (optimizer.weight_decay, optimizer.anneal, optimizer.ema_decay, optimizer.clip_norm) == (
            0.05,
            True,
            0,
            0,
        )
        assert (optimizer.learning_rate_at(0), optimizer.learning_rate_at(150_000)) == (3e-4, 1.5e-4)
    assert imagenet.attack.relative_step == pytest.approx(1 / 6)
    assert cifar10.attack.relative_step == pytest.approx(2.5 / 7)
    assert imagenet.network == PUBLISHED["adm128_classifier"]
    assert cifar10.network == PUBLISHED["cifar10_classifier"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"optimizer.learnin_rate": 1},
            r"unknown setting 'learnin_rate' in \[optimizer\]; did you mean 'learning_rate'",
        ),
        ({"optimiser": {}}, r"unknown setting 'optimiser' in the configuration; did you mean 'optimizer'"),
        ({"attack.norm": "l3"}, r"attack\.norm is 'l3'; it must be one of l2, linf"),
        ({"attack.epsilon": -1}, r"attack\.epsilon is -1; it must be 0 or more"),
        ({"optimizer.iterations": 0}, r"optimizer\.iterations is 0; it must be at least 1"),
        ({"optimizer.iterations": "many"}, r"optimizer\.iterations is 'many'; it must be a whole number"),
        ({"run.precision": "int8"}, r"run\.precision is 'int8'; it must be one of float32"),
        ({"schedule.name": "quadratic"}, r"schedule\.name is 'quadratic'"),
        ({"data.kind": "video"}, r"data\.kind is 'video'; it must be one of folder"),
        ({"network.model_channels": 20}, r"model_channels is 20"),
        ({"network": "adm128_clasifier"}, r"published is 'adm128_clasifier'.*did you mean 'adm128_classifier'"),
        ({"task": "segmenter"}, r"task is 'segmenter'"),
        ({"task": []}, r"task is \[\]; it must be one of classifier, denoiser"),
        ({"network": 5}, r"network is 5; it must be a section, \[network\] in the file, or a published name"),
        ({"network": {"published": 5}}, r"network\.published is 5; it must be a name in quotes"),
        ({"network.image_size": 17}, r"^network\.image_size is 17; it must be a multiple of 4"),
        ({"network.attention_resolutions": [0]}, r"network\.attention_resolutions is \(0,\); it must be sides"),
        ({"schedule.timesteps": 10**8}, r"schedule\.timesteps is 100000000; .* at most 100000"),
        ({"optimizer.iterations": 10**20}, r"optimizer\.iterations is 10+; it must be at least 1 and at most 10+"),
        ({"data.workers": 10**5}, r"data\.workers is 100000; it must be 0 or more, and at most 1024"),
        ({"optimizer": None}, r"the configuration lacks optimizer"),
        ({"timestep_sampler": "best"}, r"timestep_sampler is 'best'"),
        ({"label_dropout": 0.1}, r"label_dropout is 0\.1; only a denoiser"),
        ({"label_dropout": 1.0}, r"label_dropout is 1\.0; it must be in \[0, 1\)"),
        ({"label_dropot": 0.1}, r"unknown setting 'label_dropot'.*did you mean 'label_dropout'"),
    ],
)
def test_bad_setting_is_refused_by_name(change, message):
    with pytest.raises(ConfigError, match=message):
        read_config(DIGITS, changes=change)


def test_published_network_can_be_named_and_changed():
    changes = {"network": "cifar10_classifier"}
    assert read_config(DIGITS, changes=changes).network.model_channels == 32
    changes["network.num_classes"] = 7
    assert read_config(DIGITS, changes=changes).network.num_classes == 7


def test_unknown_preset_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'digits_robust'"):
        read_config("digits_robustt")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        read_config(str(tmp_path / "none.toml"))
    (tmp_path / "bad.toml").write_text("name = ")
    with pytest.raises(ConfigError, match=r"bad\.toml is not valid TOML"):
        read_config(str(tmp_path / "bad.toml"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optimizer.iterations=10", ("optimizer.iterations", 10)),
        ("data.path=/data/train", ("data.path", "/data/train")),
        ("network.channel_mult = [1, 2]", ("network.channel_mult", [1, 2])),
        ("data.flip=true", ("data.flip", True)),
    ],
)
def test_changes_are_read_as_people_write_them(text, expected):
    assert parse_change(text) == expected


def test_change_without_equals_sign_is_refused():
    with pytest.raises(ConfigError, match=r"write section\.name=value"):
        parse_change("optimizer.iterations")


def test_none_removes_a_section():
    assert "attack" not in read_settings(DIGITS, changes={"attack": None})


def write(folder, name, text):
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_file_builds_on_a_preset_and_says_only_what_differs(tmp_path):
    path = write(tmp_path, "longer.toml", 'base = "digits_robust"\n[optimizer]\niterations = 900\n')
    longer, digits = read_settings(path), read_settings("digits_robust")
    assert differing(digits, longer) == {
        "name": ("digits_robust", "longer"),
        "optimizer.iterations": (400, 900),
    }


def test_a_base_may_be_a_file_beside_it_and_lose_settings(tmp_path):
    (tmp_path / "shared").mkdir()
    write(tmp_path / "shared", "robust.toml", 'base = "digits_robust"\n[attack]\nepsilon = 2.0\n')
    path = write(tmp_path, "plain.toml", 'base = "shared/robust.toml"\nwithout = ["attack", "optimizer.warmup"]\n')
    plain = read_settings(path)
    assert "attack" not in plain
    assert "warmup" not in plain["optimizer"]
    assert read_config(path).attack is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('base = "digits_robustt"', "did you mean 'digits_robust'"),
        ('base = "mine.toml"', r"mine.toml is built on itself"),
        ('base = "digits_vanilla"\nwithout = ["atack"]', "without names 'atack'"),
        ('without = ["attack"]', "needs a base"),
        ("base = 3", "base is the name of a preset or a file"),
    ],
)
def test_a_bad_base_is_refused_by_name(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read_settings(write(tmp_path, "mine.toml", text))


def test_a_changed_published_network_stays_that_network(tmp_path):
    path = write(tmp_path, "mine.toml", 'base = "adm128_classifier"\n[network]\nnum_classes = 10\n')
    assert read_settings(path)["network"] == {"published": "adm128_classifier", "num_classes": 10}


def test_settings_are_checked_without_torch():
    program = (
        "import sys\nfrom training.learning.config import read_config\nread_config('digits_robust')\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
