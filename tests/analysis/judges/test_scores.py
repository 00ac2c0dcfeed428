"""Files of scores are read, or refused by file, line and value."""

from __future__ import annotations

import pytest

from analysis.judges.scores import judged_pairs, read_scores


def written(folder, text):
    path = folder / "scores.csv"
    path.write_text(text)
    return path


def test_scores_of_images_become_differences_of_arms(tmp_path):
    text = "pair,arm,scorer,score\np1,robust,clip,0.9\np1,vanilla,clip,0.4\np2,robust,clip,1\np1,robust,other,3\n"
    scores = read_scores(written(tmp_path, text))
    assert scores.scorers() == ["clip", "other"]
    assert judged_pairs(scores, "clip", "robust", "vanilla") == {"p1": pytest.approx(0.5)}
    assert judged_pairs(scores, "clip", "vanilla", "robust") == {"p1": pytest.approx(-0.5)}


def test_both_orders_of_a_pairwise_judge_are_averaged(tmp_path):
    text = (
        "pair,arm_left,arm_right,scorer,choice\n"
        "p1,robust,vanilla,vlm,left\np1,vanilla,robust,vlm,left\np2,vanilla,robust,vlm,right\np3,robust,vanilla,vlm,tie\n"
    )
    scores = read_scores(written(tmp_path, text))
    assert judged_pairs(scores, "vlm", "robust", "vanilla") == {"p1": 0.0, "p2": 0.5, "p3": 0.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it needs a header"),
        ("pair,arm,score\n", "the header has arm, pair, score; scores need arm, pair, score, scorer, or"),
        ('pair,arm,scorer,score\np,a,s,"0,5"\n', "score is '0,5'; give a finite number; write a decimal point"),
        ("pair,arm,scorer,score\np,a,s,high\n", r"scores.csv, line 2: score is 'high'; give a finite number"),
        ("pair,arm,scorer,score\np,a,s,nan\n", "line 2: score is 'nan'"),
        ("pair,arm,scorer,score\np,a,s,1\np,a,s,2\n", "line 3: s scored a on pair p twice"),
        ("pair,arm_left,arm_right,scorer,choice\np,a,b,s,A\n", "line 2: choice is 'A'; it must be left, tie, right"),
        ("pair,arm_left,arm_right,scorer,choice\np,a,a,s,left\n", "line 2: a stands on both sides"),
        ("pair,arm_left,arm_right,scorer,choice\np,a,b,s,left\np,a,b,s,left\n", "line 3: s judged pair p with a left"),
    ],
)
def test_bad_files_are_refused_by_line_and_value(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_scores(written(tmp_path, text))
