#!/bin/sh
# Processes, their units, and waiting for something to become true.

# Within undo, which a trap calls, a bare return would hand on what was true before the trap: so each says its code.
poll() { # SECONDS COMMAND: until it is true, or has set hopeless
  hopeless=
  unanswered=
  for pause in .1 .2 .2 .4 $(yes 1 | head -n "$1"); do
    $2 && return 0
    [ -z "$hopeless" ] || return 1
    sleep $pause
  done
  false
}

# The systemd service of a process, from its control group; none in a container, a login or a user's own systemd.
unit_of() { sed -n 's#.*:/\([^/]*\.slice/\)*\([^/]*\.service\)$#\2#p' /proc/$1/cgroup | head -n 1; }

# A property of a unit.
shows() { systemctl show -p "$2" --value -- $1; }

# Starts a unit anew. What it failed at before, or how often it was started in a short time, must not stand in the way of a
# start of ours: from systemd 253 on that count outlives a daemon-reload.
start_again() { # UNIT
  systemctl reset-failed "$1" 2>/dev/null || :
  systemctl restart "$1"
}
