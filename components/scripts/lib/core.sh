#!/bin/sh
# The run of a part's script, from its call to its end. Functions alone: a part's script is sent
# behind this and its other libraries, and defines what stands in the table.
#
# function    may refuse  may change   in the lock          where it fails
# preflight   yes         nothing      yes, but not where   nothing has to be put back
#                                      a preview asks it
# change      yes         the machine  yes                  files are put back, then undo
# prove       yes         nothing      until it gives the   files are put back, then undo
#                                      lock back
# record      no          the receipt  yes                  files are put back, then undo
# undo        no          the machine  until it gives the   goes on, and says in lost what does
#                                      lock back            not work again
# restore     yes         the machine  yes                  what it took away stays away; what it
#                                                           copied is put back, then undo; the
#                                                           next remove takes what is left
# places      no          nothing      as preflight         (prints the files of root's that it
#                                                           writes)
# shared      no          nothing      as preflight         (true where stacks share the part)
#
# prove, undo, places and shared need not be defined (see the end of this file).
# To refuse is to call fail. The files that are put back are those that put has replaced or that
# remember has copied (lib/files.sh). prove and undo give the lock back by `flock -u 9`, so that
# others need not wait while they do; prove only where no other stack has its files. For where
# others have recorded something meanwhile, nothing is put back and undo is not called: what they
# have proven stays.
#
# Values of every part: MACHINE, PART (its receipt's name), STACK.
#
# Exit codes
#   0     done, or nothing to do: a remove for an owner that the receipt does not name
#   3     refused, or failed and put back: the text says which. Where none of its lines begins with
#         the machine's name, nothing of the part has run
#   143   ended by HUP, INT or TERM, and put back; `timeout`, which stands before the script, makes
#         124 of it where it sent that. From record on, and once restore is through, these three do
#         nothing
#   else  that of a program which failed and has said why itself, and put back; the text is
#         "stopped at", one of preflight, change, proof and restore, and what became of the old
#         state
#
# Where a run is killed half-way (SIGKILL, a power cut), nobody puts anything back. It leaves, by
# where it was killed,
#   in preflight    nothing
#   in change       each file old or new; beside it what was there before (FILE.mt-old) and what
#                   was to come (FILE.mt-new), either of them perhaps half written; the receipt of
#                   before, with what change has kept in it so far; of a first apply one without an
#                   owner, or none
#   in prove        the same, with all files new
#   in record       the same, with each file of the receipt old or new
#   behind record   all that was wanted, and perhaps copies still
#   in undo         some files back, the others as in change
#   in restore      some files gone; the receipt whole, or half deleted
# and the lock's file, which holds nobody up: the lock itself went with the run's last process.
#
# The next apply takes what it finds for what was there before, and that is what it puts back should
# it fail; else it makes everything as it should be, and drops the copies of what it writes. The
# next remove restores, whether the receipt names its owner or has none left, and takes the copies
# along with the files: restore has to do with what it finds. No run puts back a copy that another
# one has made. An owner's file that has lost its text by a power cut counts as its owner's
# (damaged, in lib/receipt.sh).
#
# What files do not tell is lost with the run, unless the part has written it down before its
# change, as that sshd has still to read a file. So a service that runs, and whose run was killed
# between its new file and its start, is not started anew by the next apply.

main() { # apply OWNER GENERATION | remove OWNER
  # What fail says in a subshell goes there, wherever that sends its errors.
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
  case $1 in
  apply) apply "$2" "$3" ;;
  remove) remove "$2" ;;
  esac
}

# Lock, preflight, change, prove, record. What fails from change on is put back by finish.
# Sets: OWNER, recorded_before and undo_paths (for finish; not empty from where it has to put back)
apply() { # OWNER GENERATION
  lock
  sign_lock

  only_ours "$1"
  preflight
  closed_to_others

  OWNER=$1
  recorded_before=$(recorded_by_others "$OWNER")
  undo_paths=' '
  step=change
  mend_folders
  change

  step=proof
  prove

  # prove may have given it back.
  lock
  # What is proven is not undone.
  trap '' HUP INT TERM
  record
  record_owner "$1" "$2"
  say_applied "$2"
}

# Gives back what was there before, once nobody has the part any more.
# Sets: OWNER (for finish)
remove() { # OWNER
  lock
  sign_lock

  step=restore
  OWNER=$1
  if [ -z "$(owner_files)" ]; then
    # The receipt is lost: undo from what is there.
    restore_and_forget
  elif [ -z "$(recorded_as "$1")" ] && ! damaged "$1"; then
    # A receipt that does not name this instance is its successor's.
    return
  elif [ -z "$(recorded_by_others "$1")" ]; then
    restore_and_forget
  else
    # It is another resource's as well.
    forget_owner "$1"
  fi
}

restore_and_forget() {
  restore
  # What is restored is not made anew.
  trap '' HUP INT TERM
  rm -rf "$RECEIPT"
}

# A login that ends with success and runs nothing of this does not print it. What is proven stays,
# whoever reads this; a greeting may have left its line without an end.
say_applied() { # GENERATION
  printf '\nmetrics-tunnel applied %s\n' "$1" || :
}

# --- The beginning.

# Where a startup file of the login has put another shell in the place of our command, that shell
# knows no verb. Releases up to 0.1.0 sent `sh -s -- VERB ...`, and where `detectDrift` is false a
# state of theirs keeps its command.
by_its_command() { # the command line's words
  case $0,${1-} in
  metrics-tunnel,* | sh,apply | sh,remove) ;;
  *)
    echo "a startup file of this login has put another shell in place of our command" >&2
    exit 3
    ;;
  esac
}

# Sets: LOCK, STORE and RECEIPT (places), own_process (for fail), step (what a text of finish calls
#       it), said (by fail), undo_paths and path_in_work (see lib/files.sh)
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

# Refuses a machine that no part can be applied on.
# Sets: systemd_version
able() {
  # shellcheck disable=SC2046 # "systemd", its version, and more; 0 where there is none
  set -- $(systemctl --version) 0 0
  systemd_version=${2%%[!0-9]*}
  if [ "$(id -u)" != 0 ] || [ ! -d /run/systemd/system ] || ! [ "$systemd_version" -ge 247 ]; then
    fail "needs root and a running systemd >= 247; log in as root or with sudo"
  fi
}

# --- Values that would lead elsewhere.

# Prints which value could leave its place on this machine, where names and paths are made of it.
# Python has refused it long before; here it is refused whoever has made the command.
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
  # Of what only the run makes a rehearsal has nothing yet.
  plain_name KEY_ID "${KEY_ID:-none}"
  plain_address ADDRESS "${ADDRESS:-none}"
  plain_forwards FORWARDS "${FORWARDS-0:0}"
  plain_duration INTERVAL "${INTERVAL-1s}"
  plain_duration TIMEOUT "${TIMEOUT-1s}"
  plain_number SAMPLE_LIMIT "${SAMPLE_LIMIT-1}"
  plain_number SSH_PORT "${SSH_PORT-22}"
  plain_path CONFIG "${CONFIG:-/}"
  plain_path METRICS "${METRICS:-/}"
  case ${SERVICE-} in
  -* | *[!A-Za-z0-9@._-]*) echo "SERVICE is no plain name; use letters, digits, . _ @ and -" ;;
  esac
  if [ -n "${KEY-}" ]; then
    plain_name KEY "${KEY#/etc/metrics-tunnel/keys/}"
  fi
}

plain_name() { # WHAT VALUE
  case $2 in
  '' | . | .. | -* | *[!A-Za-z0-9._-]*)
    echo "$1 is no plain name; use letters, digits, . _ and -"
    ;;
  esac
}

plain_address() { # WHAT VALUE
  case $2 in
  '' | -* | *[!A-Za-z0-9.:-]*)
    echo "$1 is no plain address; use letters, digits, . : and -"
    ;;
  esac
}

plain_forwards() { # WHAT VALUE
  case $2 in
  '' | *[!][0-9.:' ']*)
    echo "$1 are no plain forwards; use digits, . : [ and ] with a blank between two"
    ;;
  esac
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

# --- The machine's lock, file descriptor 9: one run at a time.

lock() {
  take_lock || fail "another run holds the lock (pid $(cat "$LOCK")); wait and run again"
}

# Says in the lock's file who has it.
sign_lock() {
  echo "$$, $(date)" >"$LOCK"
}

# The last part on a machine takes the lock's file away: who waited for it meanwhile has a lock that
# nobody else would see, and takes the new one.
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

# --- The end.

# Ends with a text that says what to do; finish puts back what was changed and prints it.
# In a subshell, as in $( ), a pipe or ( ), finish would never see said: there the text goes to file
# descriptor 3, which main has made the script's standard error. The subshell ends with 3, and where
# that ends the run finish says "stopped at ..." behind it. Who wants to read the text sends 3
# somewhere, as in { ...; } 3>&1.
# Sets: said
fail() { # WORDS of the text
  said=$*
  read -r process rest </proc/self/stat
  [ "$process" = "$own_process" ] || printf '%s\n' "$said" >&3
  exit 3
}

finish() { # CODE where it is a signal, which may come while another is handled
  exit_code=${1-$?}
  trap '' EXIT HUP INT TERM
  set +eu
  if [ "$exit_code" != 0 ]; then
    said=${said:-stopped at $step; mend the above, run again}
    if [ -n "$undo_paths" ]; then
      put_all_back
    fi
    printf '%s\n' "$MACHINE $PART: $said" >&2
  fi
  drop_copies
  rmdir "$STORE" 2>/dev/null
  drop_lock
  exit "$exit_code"
}

# Puts back what was changed, and says in said what has become of it.
# Sets: lost, not_back (see outcome)
put_all_back() {
  # prove may have given it back.
  take_lock
  # What another stack has proven meanwhile stays.
  [ "$(recorded_by_others "$OWNER")" = "$recorded_before" ] || return
  lost=
  put_back
  forget_first_apply
  undo
  # It may have let the lock go, and noted what it takes away.
  forget_first_apply
  said="$said; $(outcome)"
}

# What became of the old state, for a text. put_back has set not_back, and undo lost, where
# something that worked does not work again.
outcome() {
  if [ -n "$not_back" ]; then
    echo "not put back could be:$not_back; where there is a copy," \
      "it has .mt-old behind its name: move it back"
  elif [ -n "$lost" ]; then
    echo "its old files are back, but $lost"
  else
    echo "its old state is restored"
  fi
}

# --- What a part need not define.

prove() { :; }
undo() { :; }
shared() { false; }
places() { :; }
