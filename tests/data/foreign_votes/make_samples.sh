#!/bin/sh
# Write the samples of this folder anew, each by the real tool at a pinned version. Needs python3, npm, chromium and a
# package index; takes minutes and runs outside CI. Ids and times in the files differ from run to run.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

tool() {  # name, packages: a virtual environment of its own
    name=$1; shift
    python3 -m venv "$scratch/$name" && "$scratch/$name/bin/pip" install -q "$@"
}

tool evalica evalica==0.4.2
"$scratch/evalica/bin/python" "$here/write_evalica.py" "$here"

tool gradio gradio==6.31.0
rm -f "$here"/gradio/dataset*.csv
"$scratch/gradio/bin/python" "$here/write_gradio.py" "$here/gradio"

tool potato potato-annotation==2.12.1
"$scratch/potato/bin/python" "$here/write_potato.py" "$here/potato"

tool psychopy psychopy==2026.2.5
"$scratch/psychopy/bin/python" "$here/write_psychopy.py" "$here/psychopy.csv"

tool otree otree==6.0.15 requests
mkdir "$scratch/app" && cd "$scratch/app"
"$scratch/otree/bin/python" "$here/write_otree.py"
"$scratch/otree/bin/otree" test pairs 3 --export=out
cp out/all_apps_wide.csv "$here/otree_wide.csv"
cp out/pairs.csv "$here/otree_app.csv"

mkdir "$scratch/npm" && cd "$scratch/npm"
npm install --silent jspsych@8.3.0 @jspsych/plugin-html-button-response@2.1.0
tool playwright playwright
"$scratch/playwright/bin/python" "$here/write_jspsych.py" "$scratch/npm/node_modules" "$here" "$(command -v chromium)"

tool label-studio label-studio==1.23.2
"$scratch/label-studio/bin/python" "$here/write_label_studio.py" \
    "$scratch/label-studio/bin/label-studio" "$scratch/label-studio-data" "$here"
