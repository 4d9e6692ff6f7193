# The environment .venv/ and what is installed into it. A torch that is there is used, and never replaced.
# Sourced by scripts/setup; reads $python.

pip() { .venv/bin/python -m pip --disable-pip-version-check -q "$@" 2> >(grep -v "Location 'file:" >&2); }

# The packages of $python are seen from .venv/: a folder list for an interpreter that is an environment itself
# (whose packages --system-site-packages would pass over), that option for others.
make_environment_with_packages_of_python() {
  if "$python" -c 'import sys; sys.exit(sys.prefix == sys.base_prefix)'; then
    "$python" -m venv .venv
    "$python" -c 'import sysconfig
for folder in sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}):
    print(f"import site; site.addsitedir({folder!r})")' > .venv/packages_of_python.pth
    mv .venv/packages_of_python.pth "$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
  else
    "$python" -m venv --system-site-packages .venv
  fi
}

make_environment() {
  # One without pip is half-made: it was interrupted.
  if .venv/bin/python -m pip --version >/dev/null 2>&1; then return; fi
  local torch
  torch=$("$python" scripts/find_torch) || exit 1
  rm -rf .venv
  say "Python environment .venv/"
  if [ -z "$torch" ]; then
    "$python" -m venv .venv
    return
  fi
  say "using the torch ${torch%%$'\n'*} of $python"
  make_environment_with_packages_of_python
  [ "$(.venv/bin/python scripts/find_torch)" = "$torch" ] || {
    rm -rf .venv
    die "$python has torch ${torch%%$'\n'*}, but an environment made from it sees another or none." \
      "Set PYTHON to the interpreter that torch was installed with."
  }
}

install_torch() {
  local torch
  torch=$(.venv/bin/python scripts/find_torch) || exit 1
  if [ -z "$torch" ]; then
    say "torch 2.13.0 (there was none)"
    pip install torch==2.13.0
    torch=$(.venv/bin/python scripts/find_torch)
  fi
  echo "torch==${torch%%$'\n'*}" > .venv/.torch-pin  # no package can replace it
}

# The packages of the build are kept in .deps/wheels/, so that a set-up with a carried .deps/ asks no index for them.
keep_wheels() {
  local wheels=.deps/wheels complete
  complete=$(
    .venv/bin/python -c 'import sys, sysconfig; print(sys.version_info[:2], sysconfig.get_platform())'
    cat requirements/build.txt
  )
  if [ "$(cat "$wheels/.complete" 2>/dev/null)" != "$complete" ]; then
    rm -rf "$wheels"
    pip download --only-binary :all: -r requirements/build.txt -c .venv/.torch-pin -d "$wheels"
    echo "$complete" > "$wheels/.complete"
  fi
}

install_list() {  # name [pip's options]: installs requirements/name.txt once per content
  local list="requirements/$1.txt" mark=".venv/.installed-$1"
  if cmp -s "$list" "$mark"; then return; fi
  say "Python packages for $1"
  pip install -r "$list" -c .venv/.torch-pin "${@:2}"
  cp "$list" "$mark"
}

install_build_list() {
  if cmp -s requirements/build.txt .venv/.installed-build; then return; fi
  keep_wheels
  PIP_NO_INDEX=1 install_list build --find-links .deps/wheels
}

# Packages that only some tests see, with .venv/beside/name in PYTHONPATH: there they stand before those of .venv/, which
# stay as they are. The list names all that it needs.
install_beside() {  # name: installs requirements/test_name.txt once per content
  local list="requirements/test_$1.txt" folder=".venv/beside/$1"
  if cmp -s "$list" "$folder/.installed"; then return; fi
  say "Python packages for $1, into $folder"
  rm -rf "$folder"
  pip install --no-deps --target "$folder" -r "$list"
  cp "$list" "$folder/.installed"
}
