#!/bin/sh
# What a command of the Makefile needs on this machine: installed where root can, else told at once,
# in a line each.
#
#   sh lab/needs.sh lint|quick|test|demo|demo-down|bench|campaign
#
# It runs before anything is set up, so it asks for nothing but a shell.
set -eu

COMMAND=$1
# Programs and the Debian packages that bring them.
SHELL_PROGRAMS='dash=dash busybox=busybox ssh-keygen=openssh-client'
LAB_PROGRAMS='debootstrap=debootstrap ip=iproute2 ssh-keygen=openssh-client'
LAB_PROGRAMS="$LAB_PROGRAMS systemd-nspawn=systemd-container"

all_is_here=true

main() {
  need_python
  case $COMMAND in
  lint) ;;
  quick) need_shells ;;
  test)
    need_shells
    if is_root; then
      need_lab
      need_programs jq=jq # With it the decisions read what is sent.
    else
      echo "make test skips the tests on lab hosts, which need root"
    fi
    ;;
  demo-down)
    need_lab
    if ! [ -e /var/tmp/metrics-tunnel-demo/lab.json ]; then
      lack "a demo, and there is none; make one with: make demo"
    fi
    ;;
  campaign)
    # The hostile values are read back in each of them.
    need_shells
    need_lab
    ;;
  *) need_lab ;;
  esac
  $all_is_here
}

# Says what is lacking, and how to get it.
lack() {
  echo "make $COMMAND needs $*" >&2
  all_is_here=false
}

is_root() { [ "$(id -u)" = 0 ]; }

need_python() {
  if ! command -v python3 >/dev/null; then
    need_packages python3-venv "Python 3.11 or later as python3"
  fi
  if ! command -v python3 >/dev/null; then
    return
  elif ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    here=$(python3 --version 2>&1)
    lack "Python 3.11 or later as python3, first on PATH (here: $here); Debian has it from 12 on"
  elif ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    need_packages python3-venv "Python's modules venv and ensurepip"
  fi
}

need_shells() {
  if need_linux; then
    # shellcheck disable=SC2086 # A list of words.
    need_programs $SHELL_PROGRAMS
  fi
}

need_lab() {
  if ! need_linux; then
    return
  elif ! is_root; then
    lack "root, to boot hosts in namespaces of their own: sudo env \"PATH=\$PATH\" make $COMMAND"
  elif ! unshare --mount --user true 2>/dev/null; then
    # Units that systemd sandboxes need one for users, too.
    lack "namespaces, which a container has with more rights alone (docker run --privileged)," \
      "and a chroot not at all"
  else
    # shellcheck disable=SC2086 # A list of words.
    need_programs $LAB_PROGRAMS
    need_pulumi
  fi
}

need_linux() {
  if [ "$(uname -s)" != Linux ]; then
    lack "Linux; elsewhere, run it in a virtual machine with Debian (make lint runs everywhere)"
    return 1
  fi
}

# need_programs PROGRAM=PACKAGE...
need_programs() {
  lacking_programs='' lacking_packages=''
  for pair; do
    command -v "${pair%=*}" >/dev/null && continue
    lacking_programs="$lacking_programs ${pair%=*}"
    lacking_packages="$lacking_packages ${pair#*=}"
  done
  [ -z "$lacking_programs" ] || need_packages "$lacking_packages" "the programs$lacking_programs"
}

# need_packages PACKAGES WHAT: installs them, or says that WHAT is lacking.
need_packages() {
  packages=${1# } what=$2
  if ! command -v apt-get >/dev/null; then
    lack "$what, and there is no apt-get to install them; in Debian they are in: $packages"
  elif ! is_root; then
    lack "$what; install them with: sudo apt-get install $packages"
  else
    echo "make $COMMAND installs with apt-get: $packages"
    # shellcheck disable=SC2086 # A list of words.
    if ! { apt_get update && apt_get install -y --no-install-recommends $packages; }; then
      lack "$what, but apt-get could not install $packages: $(printf '%s' "$apt_said" | tail -n 1)"
    fi
  fi
}

# Sets: apt_said.
apt_get() { apt_said=$(DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" 2>&1); }

# Pulumi is taken from PATH, or built by Go: whoever does so knows what that needs.
need_pulumi() {
  if $all_is_here; then
    reason=$(python3 -m lab.tools check) || lack "$reason"
  fi
}

cd "$(dirname "$0")/.."
main
