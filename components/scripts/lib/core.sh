#!/bin/sh
# The run of a part's script, from its call to its end. Functions alone: a part's script is sent behind this and defines its own.
#
# What a part defines        may refuse  may change  inside the lock  where it fails
#   preflight                yes         no          yes              nothing has to be put back
#   change                   yes         yes         yes              files are put back, then undo
#   prove                    yes         no          if it wants to   files are put back, then undo
#   record                   no          receipt     yes              files are put back, then undo
#   undo                     no          yes         yes              says what is lost
#   restore, for remove      yes         yes         yes              what is left is taken by the next remove
#   places                   no          no          no               prints the files of root's that it writes
#   shared                   no          no          no               true where stacks share the part
# prove gives the lock back by `flock -u 9` where no other stack has its files.
#
# Values of every part: MACHINE, PART, STACK.
# Exit codes: 0 done; 3 refused, or failed and put back, and the text says which; 143 ended by a signal and put back.

main() { # apply OWNER GENERATION | remove OWNER
  # Where a subshell says why it fails.
  exec 3>&2
  by_its_command "$@"
  begin
  wrong=$(out_of_place "$@")
  if [ -n "$wrong" ]; then
    printf '%s\n' "metrics-tunnel: $wrong" >&2
    exit 3
  fi
  trap finish EXIT
  trap 'finish 143' HUP INT TERM
  # A write to nobody fails, as any other, and does not end us on the spot.
  trap : PIPE
  able
  lock
  echo "$$, $(date)" >"$LOCK"
  case $1 in
  apply) apply "$2" "$3" ;;
  remove) remove "$2" ;;
  esac
}

apply() { # OWNER GENERATION
  only_ours "$1"
  preflight
  closed_to_others
  OWNER=$1
  recorded_before=$(recorded_by_others)
  undo_paths=' '
  step=change
  mend_folders
  change
  step=proof
  prove
  lock
  # What is proven is not undone.
  trap '' HUP INT TERM
  record
  keep "owners/${1%.*}" "$1 $2"
  earlier=$(without_project "$1")
  [ "$earlier" = "$1" ] || rm -f "$RECEIPT/owners/${earlier%.*}"
  # A login that ends with success and runs nothing of this does not print it. What is proven stays, whoever reads this;
  # a greeting may have left its line without an end.
  printf '\nmetrics-tunnel applied %s\n' "$2" || :
}

remove() { # OWNER
  step=restore
  OWNER=$1
  owners=$(owner_files)
  if [ -z "$owners" ]; then
    # The receipt is lost: undo from what is there.
    restore
    trap '' HUP INT TERM
    rm -rf "$RECEIPT"
    return
  fi
  if [ -z "$(recorded_as "$1")" ] && ! damaged; then
    # A receipt that does not name this instance is its successor's.
    return
  elif [ -z "$(recorded_by_others)" ]; then
    restore
    trap '' HUP INT TERM
    rm -rf "$RECEIPT"
  else
    # It is another resource's as well.
    for file in $(own_files); do rm -f "$RECEIPT/owners/$file"; done
  fi
}

# Where a startup file of the login has put another shell in the place of our command, that shell knows no verb. Releases up
# to 0.1.0 sent `sh -s -- VERB ...`, and where `detectDrift` is false a state of theirs keeps its command.
by_its_command() { # the command line's words
  case $0,${1-} in
  metrics-tunnel,* | sh,apply | sh,remove) ;;
  *)
    echo "a startup file of this login has put another shell in place of our command" >&2
    exit 3
    ;;
  esac
}

begin() {
  set -eu
  umask 022
  export LC_ALL=C PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  LOCK=/run/metrics-tunnel.lock
  STORE=/var/lib/metrics-tunnel
  RECEIPT=$STORE/$PART
  undo_paths=
  path_in_work=
  step=preflight
  said=
  read -r own_process rest </proc/self/stat
}

# Prints which value could leave its place on this machine, where names and paths are made of it. Python has refused it
# long before; here it is refused whoever has made the command.
out_of_place() { # the command line's words
  for word in "$@"; do
    # An owner has a colon behind its project.
    case $word in *:*) plain_name "the command line" "${word%%:*}" ;; esac
    plain_name "the command line" "${word#*:}"
  done
  plain_name MACHINE "$MACHINE"
  plain_name PART "$PART"
  plain_name STACK "$STACK"
  plain_name PROJECT "${PROJECT-none}"
  plain_name HOST "${HOST-none}"
  plain_name ID "${ID-none}"
  plain_name COMMENT "${COMMENT-none}"
  plain_name JOB "${JOB-none}"
  plain_name LOGIN "${LOGIN-none}"
  plain_name PORT "${PORT-0}"
  plain_name WAIT "${WAIT-0}"
  plain_duration INTERVAL "${INTERVAL-1s}"
  plain_duration TIMEOUT "${TIMEOUT-1s}"
  plain_number SAMPLE_LIMIT "${SAMPLE_LIMIT-1}"
  plain_path CONFIG "${CONFIG:-/}"
  plain_path METRICS "${METRICS:-/}"
  case ${SERVICE-} in -* | *[!A-Za-z0-9@._-]*) echo "SERVICE is no plain name; use letters, digits, . _ @ and -" ;; esac
  if [ -n "${KEY-}" ]; then
    plain_name KEY "${KEY#/etc/metrics-tunnel/keys/}"
  fi
}

plain_name() { # WHAT VALUE
  case $2 in '' | . | .. | -* | *[!A-Za-z0-9._-]*) echo "$1 is no plain name; use letters, digits, . _ and -" ;; esac
}

plain_duration() { # WHAT VALUE
  case $2 in '' | *[!0-9a-z]*) echo "$1 is no duration; use digits and letters, such as 15s" ;; esac
}

plain_number() { # WHAT VALUE
  case $2 in '' | *[!0-9]*) echo "$1 is no number; use digits" ;; esac
}

plain_path() { # WHAT VALUE
  case $2 in
  [!/]* | *//* | */./* | */../* | */. | */.. | *[!A-Za-z0-9@._+/-]*)
    echo "$1 is no plain absolute path; use letters, digits and . _ + @ - between slashes"
    ;;
  esac
}

lock() {
  take_lock || fail "another run holds the lock (pid $(cat "$LOCK")); wait and run again"
}

# Takes the machine's lock, file descriptor 9. The last part on a machine takes the lock's file away: who waited for it
# meanwhile has a lock that nobody else would see, and takes the new one.
take_lock() {
  while :; do
    exec 9>>"$LOCK"
    flock -w 60 9 || return 1
    ! lock_is_in_place || return 0
  done
}

lock_is_in_place() {
  [ "$(stat -Lc %i /dev/stdin <&9)" = "$(stat -c %i "$LOCK" 2>/dev/null)" ]
}

# Takes the lock's file away with the last part, unless another run has it.
drop_lock() {
  if [ ! -d "$STORE" ] && flock -n 9 && lock_is_in_place; then
    rm -f "$LOCK"
  fi 2>/dev/null
}

# Sets systemd_version, systemd's version.
able() {
  set -- $(systemctl --version) 0 0
  systemd_version=${2%%[!0-9]*}
  [ $(id -u) = 0 ] && [ -d /run/systemd/system ] && [ $systemd_version -ge 247 ] || fail "needs root and a running systemd >= 247; log in as root or with sudo"
}

# Ends with a text that says what to do; finish puts back what was changed and prints it. In a subshell, whose said nobody
# would see, it goes to file descriptor 3.
fail() {
  said=$*
  read -r process rest </proc/self/stat
  [ "$process" = "$own_process" ] || printf '%s\n' "$said" >&3
  exit 3
}

finish() { # CODE where it is a signal, which may come while another is handled
  E=${1-$?}
  trap '' EXIT HUP INT TERM
  set +eu
  if [ $E != 0 ]; then
    said=${said:-stopped at $step; mend the above, run again}
    # What another stack has proven meanwhile stays.
    if [ -n "$undo_paths" ] && {
      take_lock
      [ "$(recorded_by_others)" = "$recorded_before" ]
    }; then
      lost=
      put_back
      forget_first_apply
      # It may let the lock go, to wait for what it has started, and note what it takes away.
      undo
      forget_first_apply
      said="$said; $(outcome)"
    fi
    printf '%s\n' "$MACHINE $PART: $said" >&2
  fi
  drop_copies
  rmdir "$STORE" 2>/dev/null
  drop_lock
  exit $E
}

# What became of the old state, for a text. undo has set lost where something that worked does not work again.
outcome() {
  if [ -n "$not_back" ]; then
    echo "not put back could be:$not_back; where there is a copy, it has .mt-old behind its name: move it back"
  elif [ -n "$lost" ]; then
    echo "its old files are back, but $lost"
  else
    echo "its old state is restored"
  fi
}

# What a part need not define.
prove() { :; }
undo() { :; }
shared() { false; }
places() { :; }
