"""Run by make_samples.sh: two participants simulated by jsPsych itself in Chromium; the last trial times out."""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

modules, folder, browser = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
scripts = ["jspsych", "@jspsych/plugin-html-button-response"]
texts = [(modules / name / "dist/index.browser.min.js").read_text() for name in scripts]
page_text = "".join(f"<script>{text}</script>" for text in texts)
experiment = """async (who) => {
  const jsPsych = initJsPsych();
  jsPsych.data.addProperties({participant: who});
  const trials = [{type: jsPsychHtmlButtonResponse, stimulus: 'Start, "please"', choices: ['Go']}];
  for (let i = 0; i < 6; i++) {
    const arms = (i + who.length) % 2 ? ['robust', 'vanilla'] : ['vanilla', 'robust'];
    trials.push({
      type: jsPsychHtmlButtonResponse, stimulus: `<b class="pair">${i}</b>`,
      choices: ['Left', 'Right', 'No difference'], trial_duration: i == 5 ? 300 : null,
      data: {pair: `p${i}`, arm_left: arms[0], arm_right: arms[1]},
      simulation_options: i == 5 ? {simulate: false} : {data: {response: (i + who.length) % 3, rt: 500 + 100 * i}},
    });
  }
  await jsPsych.simulate(trials, 'visual');
  return [jsPsych.data.get().csv(), jsPsych.data.get().json()];
}"""
with sync_playwright() as started:
    chromium = started.chromium.launch(executable_path=browser, args=["--no-sandbox"])
    for who, kind in (("ann", 0), ("robert", 1)):
        page = chromium.new_page()
        page.set_content(f"<!doctype html><head>{page_text}</head><body></body>")
        (folder / ("jspsych.csv", "jspsych.json")[kind]).write_text(page.evaluate(experiment, who)[kind])
    chromium.close()
