#!/bin/sh
# What a look tells of the part tunnel-watchdog, behind its script.

present() {
  paths
  [ -e $unit_file ]
}

check() {
  paths
  if ! getent passwd $RUNS >/dev/null; then
    echo "user $RUNS is missing; it is made anew, and all tunnels start again as it"
  elif [ "$(id -Gn $RUNS)" != $RUNS ]; then
    echo "user $RUNS is in the groups $(id -Gn $RUNS) instead of its own alone; it is put there"
  fi
  unit_drift
}
