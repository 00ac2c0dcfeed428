"""A container's health check without curl: exit 0 when the address answers 200."""

import sys
import urllib.request

with urllib.request.urlopen(sys.argv[1], timeout=4) as answer:
    sys.exit(answer.status != 200)
