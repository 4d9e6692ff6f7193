# System packages: what is missing is named as apt calls it, installed where we may, and looked for again.
# Sourced by scripts/setup; reads $python.

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif sudo -n true 2>/dev/null; then sudo -n "$@"; else return 77; fi
}

apt_install() {  # a list in one word
  # shellcheck disable=SC2086
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $1 >/dev/null
}

# What apt calls the interpreter: python3, python3.12; nothing where it is none of the system's (pyenv, conda).
apt_name_of_python() {
  local path
  if path=$(command -v "$python"); then path=$(readlink -f "$path"); else path="$python"; fi
  case "$path" in
    python3 | python3.*) echo "$path" ;;  # not there yet
    /usr/bin/python3*) basename "$path" ;;
  esac
}

missing_python_packages() {
  local name
  name=$(apt_name_of_python)
  if ! command -v "$python" >/dev/null; then
    [ -n "$name" ] || die "there is no $python. Set PYTHON to a Python 3.10 to 3.13 and run this again."
    echo "$name $name-venv $name-dev"
    return
  fi
  local has_venv=1 has_headers=1
  "$python" -c 'import ensurepip, venv' 2>/dev/null || has_venv=0
  [ -e "$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h" ] || has_headers=0
  if [ -z "$name" ] && [ "$has_venv$has_headers" != 11 ]; then
    die "$(command -v "$python") has no ensurepip or no Python.h, and is no package of this system." \
      "Reinstall it whole, or set PYTHON=/usr/bin/python3."
  fi
  [ "$has_venv" = 1 ] || echo "$name-venv"
  [ "$has_headers" = 1 ] || echo "$name-dev"
}

missing_packages() {
  local program
  for program in g++ make git; do command -v "$program" >/dev/null || echo "$program"; done
  missing_python_packages
}

install_system_packages() {
  local missing
  missing=$(missing_packages | xargs)
  if [ -n "$missing" ]; then
    say "system packages: $missing"
    command -v apt-get >/dev/null ||
      die "these are missing and there is no apt-get: $missing. Install them and run this again."
    as_root apt-get update -qq >/dev/null || true  # the lists that are there may do
    apt_install "$missing" || die "please type: sudo apt-get install -y $missing"
    command -v ccache >/dev/null || apt_install ccache 2>/dev/null || true  # rebuilds are faster with it, no more
    hash -r
    missing=$(missing_packages | xargs)
    [ -z "$missing" ] || die "apt-get ran, and these are still missing: $missing"
  fi
}

# For tests/hosts, whose hosts are network namespaces with an sshd each and a Slurm over them. Where these cannot be had
# those tests say so and are skipped.
install_test_packages() {
  local missing=""
  [ -x /usr/sbin/sshd ] || missing="$missing openssh-server"
  command -v ssh >/dev/null || missing="$missing openssh-client"
  command -v ip >/dev/null || [ -x /usr/sbin/ip ] || missing="$missing iproute2"
  [ -x /usr/sbin/slurmd ] && [ -x /usr/sbin/slurmctld ] || missing="$missing slurm-wlm"
  [ -x /usr/sbin/munged ] || missing="$missing munge"
  [ -n "$missing" ] || return 0
  say "system packages for tests on several hosts:$missing"
  command -v apt-get >/dev/null || return 0
  as_root apt-get update -qq >/dev/null || true
  apt_install "$missing" || say "not installed:$missing"
}

check_versions() {
  "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' ||
    die "$("$python" --version) is not supported: 3.10 to 3.13 are. Set PYTHON=/path/to/python3.x and run this again."
  local gxx_major
  gxx_major=$(g++ -dumpversion | cut -d. -f1)
  [ "$gxx_major" -ge 11 ] || die "g++ $gxx_major is too old: 11 or later is needed (C++20)."
}
