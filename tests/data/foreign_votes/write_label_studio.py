"""Run by make_samples.sh: a Label Studio server on this machine, votes by its API, its three exports."""

import json
import subprocess
import sys
import time
import urllib.request

program, data, folder = sys.argv[1:4]
TOKEN, ADDRESS = "t" * 40, "http://127.0.0.1:8917"
CONFIG = (
    '<View><Image name="l" value="$left_image"/><Image name="r" value="$right_image"/>'
    '<Pairwise name="comparison" toName="l,r"/></View>'
)
ACCOUNT = ["--username", "a@b.example", "--password", "pw-1234567", "--user-token", TOKEN, "--enable-legacy-api-token"]
PLACE = ["--no-browser", "--internal-host", "127.0.0.1", "--port", "8917", "--data-dir", data]


def api(path, body=None):
    headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    return urllib.request.urlopen(urllib.request.Request(ADDRESS + path, content, headers), timeout=60).read()


def chosen(side):
    return [{"from_name": "comparison", "to_name": "l", "type": "pairwise", "value": {"selected": side}}]


server = subprocess.Popen([program, "start", *PLACE, *ACCOUNT])
try:
    for _ in range(300):
        try:
            api("/api/projects/")
            break
        except OSError:
            time.sleep(2)
    project = json.loads(api("/api/projects/", {"title": "pairs", "label_config": CONFIG}))["id"]
    tasks = []
    for number, (left, right) in enumerate([("robust", "vanilla"), ("vanilla", "robust")] * 2):
        images = {"left_image": f"http://x.example/{left}.png", "right_image": f"http://x.example/{right}.png"}
        tasks.append({"data": {"pair_id": f"p{number}", "arm_left": left, "arm_right": right, **images}})
    api(f"/api/projects/{project}/import", tasks)
    found = json.loads(api(f"/api/tasks?project={project}&page_size=100"))["tasks"]
    ids = sorted(task["id"] for task in found)
    # A vote each way, an empty submission, a skipped task, and a second vote on the first pair.
    for number, side in enumerate(["left", "right", None, "left"]):
        result = {
            "result": [] if side is None else chosen(side),
            "lead_time": 1.5 + number,
            "was_cancelled": number == 3,
        }
        api(f"/api/tasks/{ids[number]}/annotations/", result)
    api(f"/api/tasks/{ids[0]}/annotations/", {"result": chosen("right"), "lead_time": 3.25})
    for kind, name in (
        ("JSON", "label_studio.json"),
        ("JSON_MIN", "label_studio_min.json"),
        ("CSV", "label_studio.csv"),
    ):
        with open(f"{folder}/{name}", "wb") as file:
            file.write(api(f"/api/projects/{project}/export?exportType={kind}&download_all_tasks=true"))
finally:
    server.terminate()
