#!/bin/sh
# The SSH sessions of a user, which end when what they were let in by is taken away.
#
# Which sessions:
#   told    those of one key, by the journal of the process that accepted it
#   untold  those of one key, and those of which the journal does not say by which key they came
#   all     every one

# Ends sessions of LOGIN. Twice, since sshd was perhaps just letting one in.
end_sessions() { # told|untold|all PUBLIC-KEY, empty for all
  fingerprint=$(echo "$2" | ssh-keygen -lf - 2>/dev/null | cut -d' ' -f2)
  which=$1
  if [ "$which" = untold ] && [ -z "$fingerprint" ]; then
    which=all
  fi
  for pause in 0 1; do
    sleep "$pause"
    for process in $(sessions_to_end "$which" "$fingerprint"); do
      kill "$process" || :
    done
  done
  if poll 5 "no_session_left $which $fingerprint"; then
    return
  fi
  # One that was stopped hears nothing else.
  for process in $(sessions_to_end "$which" "$fingerprint"); do
    kill -KILL "$process" || :
  done
  poll 5 "no_session_left $which $fingerprint" ||
    fail "sessions of user $LOGIN do not end (processes" \
      "$(sessions_to_end "$which" "$fingerprint" | tr '\n' ' ')); see: ps -u $LOGIN"
}

no_session_left() { # told|untold|all [FINGERPRINT]
  [ -z "$(sessions_to_end "$1" "${2-}")" ]
}

# Prints the processes of the sessions that are to end.
sessions_to_end() { # told|untold|all FINGERPRINT, empty where there is none
  for process in $(processes_of_login); do
    if is_in_a_container "$process"; then
      continue
    fi
    if [ "$1" = all ]; then
      echo "$process"
      continue
    fi
    accepted=$(accepted_for "$process") || continue
    case $1,$accepted in
    untold,) echo "$process" ;;
    *" ${2:-of no key}") echo "$process" ;;
    esac
  done
}

processes_of_login() { find /proc -maxdepth 1 -user "$LOGIN" | sed 's/.*\///'; }

# A process with another number in a container is not LOGIN's, whose number may be another's there.
is_in_a_container() { # PROCESS
  grep -q 'NSpid.*[0-9]\s' "/proc/$1/status" 2>/dev/null
}

# Prints what the journal says last of a key that the session's parent has accepted; false where the
# session is gone.
accepted_for() { # PROCESS
  parent=$(sed -n 's/^PPid:.//p' "/proc/$1/status" 2>/dev/null) || return 1
  journalctl -b -qo cat "_PID=$parent" | grep '^Accepted pub' | tail -n 1
}

# Prints the addresses that LOGIN's sessions come from, a line each.
session_addresses() {
  for process in $(processes_of_login 2>/dev/null); do
    ss -Htnp state established |
      sed -n "s/^.* \([^ ]*\):[0-9]* .*pid=$process,.*/\1/p"
  done | sed 's/^\[//; s/]$//; s/^::ffff://'
}
