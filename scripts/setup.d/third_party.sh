# Third-party headers and libraries into .deps/: Debian packages, unpacked and not installed. No root, nothing outside
# this folder, and the folder can be carried to a machine without a network. Sourced by scripts/setup after system.sh.

required_debs="nlohmann-json3-dev libcli11-dev libfmt-dev libspdlog-dev libhwy-dev libgtest-dev libgmock-dev
  libgloo-dev"
highway_debs="libhwy1t64 libhwy1 libhwy0"  # one name a release
optional_debs="libbenchmark-dev libbenchmark1debian libbenchmark1 liburing-dev"

download_debs() {
  local package
  for package in $required_debs $highway_debs $optional_debs; do
    (cd .deps/debs && apt-get download "$package" >/dev/null 2>&1) || true
  done
}

missing_debs() {
  local package
  for package in $required_debs; do
    compgen -G ".deps/debs/${package}_*" >/dev/null || echo "$package"
  done
  for package in $highway_debs; do
    if compgen -G ".deps/debs/${package}_*" >/dev/null; then return; fi
  done
  echo libhwy1
}

unpack_debs() {
  local deb name real
  for deb in .deps/debs/*.deb; do dpkg-deb -x "$deb" .deps/root; done
  cp -r .deps/root/usr/include/. .deps/include/
  find .deps/root/usr/lib \( -name '*.a' -o -name 'libhwy.so.*' -o -name 'libbenchmark.so.*' \) -exec cp -a {} .deps/lib/ \;
  # The linker wants the file behind its soname.
  for name in libhwy.so libbenchmark.so; do
    real=$(find .deps/lib -name "$name.*" -type f | head -n1)
    [ -n "$real" ] && ln -sf "$(basename "$real")" ".deps/lib/$name"
  done
  rm -rf .deps/root .deps/debs
}

install_third_party() {
  local stamp=".deps/.stamp-1" missing header
  if [ -e "$stamp" ]; then return; fi
  say "third-party libraries into .deps/"
  command -v apt-get >/dev/null ||
    die "there is no apt-get to download third-party libraries with. Copy .deps/ from a machine that has one."
  rm -rf .deps && mkdir -p .deps/debs .deps/include .deps/lib
  download_debs
  if [ -n "$(missing_debs)" ]; then  # no package lists yet, or lists that name files which are gone
    as_root apt-get update -qq >/dev/null ||
      die "these packages are not found: $(missing_debs | xargs). Please type: sudo apt-get update"
    download_debs
  fi
  missing=$(missing_debs | xargs)
  [ -z "$missing" ] ||
    die "these packages cannot be downloaded: $missing. Is a Debian or Ubuntu mirror (with universe) reachable?"
  unpack_debs
  for header in nlohmann/json.hpp CLI/CLI.hpp fmt/format.h spdlog/spdlog.h hwy/highway.h gtest/gtest.h gloo/context.h; do
    [ -e ".deps/include/$header" ] || die "the downloaded packages have no $header. Remove .deps and run this again."
  done
  touch "$stamp"
}
