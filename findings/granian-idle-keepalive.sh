#!/bin/sh
# granian 2.8.9, HTTP/1 keep-alive: --http1-header-read-timeout also ends connections that are idle between two requests.
# It may be at most 60,000 ms, and there is no setting of its own for idle connections. nginx keeps its idle upstream
# connections for 60 s by default, so by its defaults (30 s here) the server closes first, and a request
# that is sent at that moment is lost or answered with 502. The proxy's keepalive_timeout must be set below the
# server's. Here: a timeout of 3 s, one request answered, then silence; the server closes 3 s later.
# Exit 0 while this holds, 1 once idle connections outlive the header timeout or the limit is lifted.
set -eu
folder=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
server=""
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check granian==2.8.9
cat > "$folder/app.py" <<'PYTHON'
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "2"), ("Content-Type", "text/plain")])
    return [b"ok"]
PYTHON
cd "$folder"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$folder/venv/bin/granian" --version
if "$folder/venv/bin/granian" --interface wsgi --http1-header-read-timeout 75000 --port "$port" app:application \
    > refused.log 2>&1; then echo "75,000 ms is taken now"; exit 1; fi
grep -o "75000 is not in the range.*" refused.log
"$folder/venv/bin/granian" --interface wsgi --http 1 --http1-header-read-timeout 3000 --port "$port" app:application \
    > server.log 2>&1 &
server=$!
python3 - "$port" <<'PYTHON'
import socket, sys, time

for _ in range(100):
    try:
        line = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
        break
    except OSError:
        time.sleep(0.2)
line.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
answer = line.recv(1000)
assert answer.startswith(b"HTTP/1.1 200") and b"connection: close" not in answer.lower(), answer
began = time.monotonic()
line.settimeout(15)
try:
    rest = line.recv(1000)
except TimeoutError:
    sys.exit("still open after 15 s: idle connections outlive the header timeout now")
idle = time.monotonic() - began
print(f"idle connection closed after {idle:.1f} s, without a word: {rest!r}")
sys.exit(0 if rest == b"" and 2 < idle < 6 else 1)
PYTHON
