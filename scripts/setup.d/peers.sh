# The systems that `make bench` compares with, in .venv-peers/: once per content of requirements/bench.txt and version
# of torch. Sourced by scripts/setup after python.sh.

install_peers() {
  local torch stamp=.venv-peers/.installed
  torch="torch==$(.venv/bin/python -c 'import importlib.metadata as m; print(m.version("torch").split("+")[0])')"
  if { echo "$torch"; cat requirements/bench.txt; } | cmp -s - "$stamp"; then return; fi
  say "the benchmark's peers into .venv-peers/ (DeepSpeed 0.19.8 and $torch)"
  rm -rf .venv-peers
  # The interpreter under .venv/, without what that environment holds.
  "$(.venv/bin/python -c 'import sys; print(sys._base_executable)')" -m venv .venv-peers
  pip_peers() { .venv-peers/bin/python -m pip --disable-pip-version-check -q "$@" 2> >(grep -v "Location 'file:" >&2); }
  pip_peers install "$torch" setuptools wheel
  pip_peers install -r <(grep -v '^deepspeed' requirements/bench.txt) -c <(echo "$torch")
  # DeepSpeed's setup.py imports torch: it is built in this environment, not in an isolated one.
  DS_BUILD_OPS=0 pip_peers install --no-build-isolation -r requirements/bench.txt -c <(echo "$torch")
  { echo "$torch"; cat requirements/bench.txt; } > "$stamp"
}
