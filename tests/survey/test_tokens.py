from __future__ import annotations

import uuid

import pytest

from survey.exceptions import TokenExpired, TokenInvalid
from survey.tokens import (
    image_claim_of,
    image_token,
    personal_link_id_of,
    personal_link_token,
    session_id_of,
    session_token,
)

NAME = f"served/1234/ab/ab{'0' * 62}.png"


def test_session_token_reads_back() -> None:
    key = uuid.uuid4()
    assert session_id_of(session_token(key)) == key


@pytest.mark.parametrize("token", ["", "x", "a" * 43, "é" * 43, "....", "A" * 500])
def test_forged_session_tokens_are_refused(token: str) -> None:
    with pytest.raises(TokenInvalid):
        session_id_of(token)


def test_a_changed_character_is_refused() -> None:
    token = session_token(uuid.uuid4())
    for place in range(0, 42, 5):
        other = "A" if token[place] != "A" else "B"
        with pytest.raises(TokenInvalid):
            session_id_of(token[:place] + other + token[place + 1 :])


def test_image_tokens_differ_for_each_trial_and_side_and_have_one_length() -> None:
    trials = [uuid.uuid4() for _ in range(20)]
    tokens = {image_token(served=NAME, trial_id=trial, side=side) for trial in trials for side in ("left", "right")}
    assert len(tokens) == 40
    assert len({len(token) for token in tokens}) == 1
    assert {image_claim_of(token).name for token in tokens} == {NAME}
    assert not any("ab0000" in token or "served" in token for token in tokens)


def test_tokens_of_folders_are_as_long_and_say_whether_the_copies_are_spoilt() -> None:
    folder = f"served/{'0f' * 8}/ab/{'ab' * 16}"
    tokens = {name: image_token(served=name, side="left") for name in (NAME, folder, folder + "s")}
    assert len({len(token) for token in tokens.values()}) == 1
    claims = {name: image_claim_of(token) for name, token in tokens.items()}
    assert {name: claim.name for name, claim in claims.items()} == dict(zip(tokens, tokens, strict=True))
    assert [claims[name].is_folder for name in tokens] == [False, True, True]


def test_image_tokens_expire(settings) -> None:
    token = image_token(served=NAME, trial_id=uuid.uuid4(), side="left", now=1000.0)
    assert image_claim_of(token, now=1000.0 + settings.RATER_IMAGE_SECONDS).name == NAME
    with pytest.raises(TokenExpired):
        image_claim_of(token, now=1002.0 + settings.RATER_IMAGE_SECONDS)


def test_a_token_of_one_purpose_does_not_pass_for_another() -> None:
    with pytest.raises(TokenInvalid):
        image_claim_of(session_token(uuid.uuid4()))


def test_tokens_survive_a_change_of_the_secret_key(settings) -> None:
    key = uuid.uuid4()
    token = session_token(key)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-key-" + "9876543210" * 4
    assert session_id_of(token) == key
    assert session_token(key) != token
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(TokenInvalid):
        session_id_of(token)


def test_a_token_has_one_spelling() -> None:
    token = session_token(uuid.uuid4())
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for letter in letters.replace(token[-1], ""):
        with pytest.raises(TokenInvalid):
            session_id_of(token[:-1] + letter)


def test_equal_payloads_give_equal_tokens() -> None:
    key, trial = uuid.uuid4(), uuid.uuid4()
    assert session_token(key) == session_token(key)
    assert personal_link_token(key) != session_token(key)
    once, again = (image_token(served=NAME, trial_id=trial, side="left", now=1000.0) for _ in range(2))
    assert once == again


def test_tokens_that_release_0_1_gave_out_still_open(settings) -> None:
    settings.SECRET_KEY = "a-key-of-release-0.1-" + "0123456789" * 3
    key = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
    session, link = "VQL_DB72W6CTsInXvugzujTyxmPvJhWOM_YkrsM9-Yk", "nPjKVCZeGUmCeJbtRj2f8JKo4I0T9DPJn2zCJO9SLXg"
    image = "arnevWD9cHYtxlYHsvEwRUIlYIoC_vIa0ntsYy67H0rD945h2V-ZD8xTlrNE4haldCjAAuS2tWmDjXcT62hZAKHc4gq-tGAU2g"
    assert session_id_of(session) == personal_link_id_of(link) == key
    assert image_claim_of(image, now=1000.0).name == NAME
    assert session_token(key) != session
    for forged in (link, "A" + session[1:]):
        with pytest.raises(TokenInvalid):
            session_id_of(forged)
    settings.SECRET_KEY = "another-" + settings.SECRET_KEY
    with pytest.raises(TokenInvalid):
        session_id_of(session)
