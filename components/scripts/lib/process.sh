#!/bin/sh
# Processes, their units, and waiting for something to become true.

# Waits until a command is true, but no longer once it has set hopeless. Within undo, which a trap
# calls, a bare return would hand on what was true before the trap: so each says its code.
# Sets: hopeless and unanswered (empty at first, for the command)
poll() { # SECONDS COMMAND
  hopeless=
  unanswered=
  for pause in $(pauses "$1"); do
    # shellcheck disable=SC2086 # a command and its words
    $2 && return 0
    [ -z "$hopeless" ] || return 1
    sleep "$pause"
  done
  false
}

# Prints the pauses between tries: soon again at first, then each second, and after ten each second
# one, for a try may be a dozen processes.
pauses() { # SECONDS in all
  echo .1 .2 .2 .4
  if [ "$1" -le 10 ]; then
    yes 1 | head -n "$1"
  else
    yes 1 | head -n 10
    yes 2 | head -n $((($1 - 10) / 2))
  fi
}

# Prints the systemd service of a process, from its control group; nothing for one in a container,
# a login or a user's own systemd.
unit_of() { # PROCESS
  sed -n 's#.*:/\([^/]*\.slice/\)*\([^/]*\.service\)$#\2#p' "/proc/$1/cgroup" | head -n 1
}

# Prints a property of a unit; nothing where no unit is named, for systemd itself has none of those.
shows() { # UNIT PROPERTY
  systemctl show -p "$2" --value -- ${1:+"$1"}
}

# Starts a unit anew. What it failed at before, or how often it was started in a short time, must
# not stand in the way of a start of ours: from systemd 253 on that count outlives a daemon-reload.
start_again() { # UNIT
  systemctl reset-failed "$1" 2>/dev/null || :
  systemctl restart "$1"
}
