#!/bin/sh
# The SSH sessions of a user, which end when what they were let in by is taken away.

# Ends LOGIN's sessions by one key, known by the journal of the process that accepted it; with `untold` those too of which
# the journal does not say, with `all` every one. Twice, since sshd was perhaps just letting one in.
end_sessions() { # told|untold|all TYPE KEY
  fingerprint=$(echo "$2 $3" | ssh-keygen -lf - 2>/dev/null | cut -d' ' -f2)
  ends=$1
  case $1,$fingerprint in untold,) ends=all ;; esac
  for pause in 0 1; do
    sleep $pause
    for process in $(sessions_to_end $ends); do kill $process || :; done
  done
  poll 5 no_session_left && return
  # One that was stopped hears nothing else.
  for process in $(sessions_to_end $ends); do kill -KILL $process || :; done
  poll 5 no_session_left ||
    fail "sessions of user $LOGIN do not end (processes $(sessions_to_end $ends | tr '\n' ' ')); see: ps -u $LOGIN"
}

no_session_left() { [ -z "$(sessions_to_end $ends)" ]; }

# The processes of LOGIN whose session is to end. One with another number in a container is not LOGIN's.
sessions_to_end() { # told|untold|all
  for folder in $(find /proc -maxdepth 1 -user $LOGIN); do
    process=${folder#/proc/}
    ! grep -q 'NSpid.*[0-9]\s' $folder/status 2>/dev/null || continue
    case $1 in
    all) echo $process ;;
    *)
      parent=$(sed -n 's/^PPid:.//p' $folder/status 2>/dev/null) || continue
      accepted=$(journalctl -b -qo cat _PID=$parent | grep '^Accepted pub' | tail -n 1)
      case $1,$accepted in
      untold,) echo $process ;;
      *" ${fingerprint:-of no key}") echo $process ;;
      esac
      ;;
    esac
  done
}
