#!/usr/bin/env bash
# Runs once when the container is created: the sandbox's and the browser tests' programs, then the course.
set -euo pipefail
cd "$(dirname "$0")/.."
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq bubblewrap chromium >/dev/null
python3 -m venv .uv && .uv/bin/pip install -q uv && .uv/bin/uv sync -q --extra lab
