"""Run by make_samples.sh: what PsychoPy's experiment handler saves; one trial timed out."""

import sys

from psychopy import data

experiment = data.ExperimentHandler(
    name="pairs", extraInfo={"participant": "ann", "session": "001"}, dataFileName="unused", savePickle=False
)
sides = [("robust", "vanilla"), ("vanilla", "robust")] * 2
conditions = [{"pair": f"p{n}", "arm_left": left, "arm_right": right} for n, (left, right) in enumerate(sides)]
trials = data.TrialHandler(conditions, 1, method="sequential", name="trials")
experiment.addLoop(trials)
experiment.addData("key_start.keys", "space")
experiment.nextEntry()
for _, key in zip(trials, ["left", "right", None, "left"], strict=False):
    trials.addData("key_resp.keys", key)
    if key is not None:
        trials.addData("key_resp.rt", 0.75)
    experiment.nextEntry()
experiment.saveAsWideText(sys.argv[1], delim=",")
