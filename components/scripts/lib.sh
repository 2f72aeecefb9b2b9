#!/bin/sh
# What the parts share. Functions alone: components/payload.py sends those that a verb reaches.
# A part defines preflight (may refuse, changes nothing), change (inside the lock), prove (waits; with `flock -u 9` where no
# other stack has its files), record, undo (after its files were put back), restore (takes everything away), check (prints
# drift), notices (prints what is worth a word, and is neither drift nor touched), present (is it there?) and places (prints
# the files of root's that it writes: the folders on the way to them are looked at, and healed where they are ours).
# A part that stacks share, such as an exporter that two of them close, defines shared.
# Every part's values: MACHINE, PART, STACK. Exit code 3: refused, or failed and put back; the text says which.
# An owner is <project>:<stack>.<resource>.<instance>. Its file in the receipt is called as it is, less the instance, and
# holds it and the generation. Releases up to 0.1.0 left the project out.

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
  RECORDED=$(recorded_by_others)
  UNDO=' '
  STEP=change
  mend_folders
  change
  STEP=proof
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
  STEP=restore
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

# Whether a file of OWNER is there and holds nothing that we have written, as after a power cut.
damaged() {
  for file in $(own_files); do
    [ -e "$RECEIPT/owners/$file" ] || continue
    case $(kept "owners/$file") in "$file."?*' '?*) ;; *) return 0 ;; esac
  done
  false
}

# The names of OWNER's file, of today and of releases up to 0.1.0.
own_files() { printf '%s\n' "${OWNER%.*}" "$(without_project "${OWNER%.*}")"; }

# What other resources have recorded here: each apply of theirs that was proven writes another generation.
recorded_by_others() {
  { owner_files | grep -vxF "$(own_files)" || :; } | while read -r file; do
    echo "$file $(kept "owners/$file")"
  done
}

# The names of the owners' files in the receipt, a line each.
owner_files() { ls "$RECEIPT/owners" 2>/dev/null || :; }

# The owner as releases up to 0.1.0 wrote it.
without_project() { echo "${1#*:}"; }

# OWNER as the receipt names it, in the form of today or of earlier releases; nothing where it names another instance.
recorded_as() { # OWNER
  for form in "$1" "$(without_project "$1")"; do
    case $(kept "owners/${form%.*}") in
    "$form "*)
      echo "$form"
      return
      ;;
    esac
  done
}

# Whether the receipt is one of this stack's.
held_by_this_stack() {
  for file in $(owner_files); do
    case ${file%.*} in "$STACK" | *":$STACK") return 0 ;; esac
  done
  false
}

# Refuses what a stack of the same name in another project has applied: the two would undo each other.
only_ours() { # OWNER
  ! shared || return 0
  for file in $(owner_files); do
    case ${file%.*} in
    "${1%.*.*}" | "$STACK") ;;
    *":$STACK") fail "project ${file%%:*} has a stack $STACK too, and this is its; rename one of the two stacks (pulumi stack rename), or take this out there" ;;
    esac
  done
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
  UNDO=
  M=
  STEP=preflight
  SAID=
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

# Sets V, systemd's version.
able() {
  set -- $(systemctl --version) 0 0
  V=${2%%[!0-9]*}
  [ $(id -u) = 0 ] && [ -d /run/systemd/system ] && [ $V -ge 247 ] || fail "needs root and a running systemd >= 247; log in as root or with sudo"
}

# Ends with a text that says what to do; finish puts back what was changed and prints it. In a subshell, whose SAID nobody
# would see, it goes to file descriptor 3.
fail() {
  SAID=$*
  read -r process rest </proc/self/stat
  [ "$process" = "$own_process" ] || printf '%s\n' "$SAID" >&3
  exit 3
}

finish() { # CODE where it is a signal, which may come while another is handled
  E=${1-$?}
  trap '' EXIT HUP INT TERM
  set +eu
  if [ $E != 0 ]; then
    SAID=${SAID:-stopped at $STEP; mend the above, run again}
    # What another stack has proven meanwhile stays.
    if [ -n "$UNDO" ] && {
      take_lock
      [ "$(recorded_by_others)" = "$RECORDED" ]
    }; then
      lost=
      put_back
      forget_first_apply
      # It may let the lock go, to wait for what it has started, and note what it takes away.
      undo
      forget_first_apply
      SAID="$SAID; $(outcome)"
    fi
    printf '%s\n' "$MACHINE $PART: $SAID" >&2
  fi
  drop_copies
  rmdir "$STORE" 2>/dev/null
  drop_lock
  exit $E
}

# Of a first apply that failed nothing is kept.
forget_first_apply() {
  rm -f "$RECEIPT/.new"
  if rmdir "$RECEIPT/owners" 2>/dev/null; then
    rm -r "$RECEIPT"
  fi
}

# Puts the files back that this apply has changed. Sets not_back, those that could not be: their copies stay.
put_back() {
  not_back=
  for path in $UNDO; do
    if is_copy "$path" "$path.mt-old"; then
      # Nothing has come of the change, and so nothing is to be put back.
      rm -f "$path.mt-old"
    elif there "$path.mt-old"; then
      mv -fT "$path.mt-old" "$path" || not_back="$not_back $path"
    else
      # Its folder has to be empty for undo.
      away "$path" || not_back="$not_back $path"
    fi
  done
  drop_copies
  # What another run copies from now on is that run's.
  UNDO=
  M=
}

# Whether a file is there as it was copied: text, mode, owner and time.
is_copy() { # FILE COPY
  [ -f "$1" ] && [ -f "$2" ] && cmp -s "$1" "$2" &&
    [ "$(stat -c '%a %u %g %Y' "$1")" = "$(stat -c '%a %u %g %Y' "$2")" ]
}

drop_copies() {
  for path in $UNDO $M; do
    case " ${not_back-} " in *" $path "*) ;; *) rm -rf "$path".mt-* ;; esac
  done
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

# A link that leads nowhere is there too.
there() { [ -e "$1" ] || [ -L "$1" ]; }

# What a part need not define.
prove() { :; }
undo() { :; }
notices() { :; }
shared() { false; }
places() { :; }

keep() { # NAME TEXT, into the receipt
  mkdir -p $RECEIPT/owners
  printf '%s\n' "$2" >$RECEIPT/.new
  mv $RECEIPT/.new $RECEIPT/$1
}

kept() { cat $RECEIPT/$1 2>/dev/null || :; }

# Replaces a file whole, mode and owner too; sets CHANGED where the text differs, else keeps its time.
put() { # PATH TEXT
  remember $1
  { printf '%s\n' "$2" >$1.mt-new; } 2>/dev/null || full $1
  cmp -s $1.mt-new $1 && touch -r $1 $1.mt-new || CHANGED=1
  mv -fT $1.mt-new $1
  label $1
}

# Where there is SELinux, a file wants the label of its place.
label() { restorecon "$1" 2>/dev/null || :; }

# For finish: to put it back needs no space. Half a copy must not be put back.
remember() { # PATH
  M=$1
  # Of a run that was killed.
  rm -rf "$1.mt-old"
  ! there "$1" || cp -aT "$1" "$1.mt-old" 2>/dev/null || full $1
  UNDO="$UNDO $1"
}

full() { fail "cannot write $1; see: df -h, mount"; }

# Takes files away, and the copies that a killed run has left.
away() { for P; do rm -rf $P "$P".mt-*; done; }

# Of these files, into the receipt.
manifest() { keep manifest "$(stat -c '%a %U %n' "$@" && sha256sum "$@")"; }

# The folders on the way to files, each once.
folders_of() { # FILES
  for path in "$@"; do
    case $path in /*) ;; *) continue ;; esac
    folder=${path%/*}
    while [ -n "$folder" ]; do
      echo "$folder"
      case $folder in /etc | /var/lib) break ;; esac
      folder=${folder%/*}
    done
  done | sort -u
}

# Prints a line for each folder on the way to this part's files that has a mode or an owner that it should not have: path,
# mode, owner, and for one of ours the mode that it gets. Who may write to a folder may put another file in a file's place,
# and sshd takes no key below one; Prometheus and sshd have to get to what is theirs.
wrong_folders() {
  # shellcheck disable=SC2046
  stat -Lc '%a %U %n' $(folders_of "$RECEIPT/owners/x" $(places)) 2>/dev/null | while read -r mode owner folder; do
    may_not=022
    must=0
    mended=
    case $folder in
    /etc/metrics-tunnel/keys)
      may_not=077
      must=0700
      mended=700
      ;;
    /etc/metrics-tunnel | /etc/metrics-tunnel/* | "$STORE" | "$STORE"/*)
      must=0755
      mended=755
      ;;
    /etc/ssh/authorized_keys.d)
      must=0111
      mended=755
      ;;
    esac
    if [ "$owner" != root ] || [ $((0$mode & may_not)) != 0 ] || [ $((0$mode & must)) != $((must)) ]; then
      echo "$folder $mode $owner $mended"
    fi
  done
}

folder_drift() {
  wrong_folders | while read -r folder mode owner mended; do
    if [ -n "$mended" ]; then
      echo "$folder has mode and owner $mode $owner instead of $mended root"
    else
      open_to_others "$folder" "$mode" "$owner"
    fi
  done
}

open_to_others() { # FOLDER MODE OWNER
  echo "others than root may write to $1 (mode and owner $2 $3); mend that: chown root $1; chmod go-w $1"
}

# Refuses where a folder that is not ours lets others put their files in the place of ours.
closed_to_others() {
  open=$(wrong_folders | grep ' $' | head -n 1)
  if [ -n "$open" ]; then
    # shellcheck disable=SC2086
    fail "$(open_to_others $open)"
  fi
}

mend_folders() {
  wrong_folders | while read -r folder mode owner mended; do
    chown root "$folder"
    chmod "$mended" "$folder"
  done
}

# Prints what differs from the manifest, whose lines are "mode owner path" and "checksum  path".
manifest_drift() {
  set -- $(kept manifest | sed -n 's/^[0-9a-f]\{64\}  //p')
  [ -n "$*" ] || return 0
  NOW=$({
    stat -c '%a %U %n' "$@" || :
    sha256sum "$@" || :
  } 2>/dev/null)
  kept manifest | grep -vxF "$NOW" | while read -r A B C; do
    if [ -z "$C" ]; then
      [ ! -f "$B" ] || echo "$B was edited"
    elif [ ! -f "$C" ]; then
      echo "$C is missing"
    else
      echo "$C has mode and owner $(stat -c '%a %U' "$C") instead of $A $B"
    fi
  done
}

# One part's report to `pulumi preview`: lines of part, kind, text. Changes nothing. What `up` will apply is rehearsed.
observe() { # OWNER [changed], where the values are not those that were applied last
  begin
  wrong=$(out_of_place "$@")
  if [ -n "$wrong" ]; then
    report fail "$wrong"
    return
  fi
  recorded=$(recorded_as "$1")
  if [ -n "$recorded" ]; then
    generation=$(kept "owners/${recorded%.*}")
    report generation "${generation##* }"
    # Where a check cannot go on, its reason is the drift.
    drift=$({ folder_drift && manifest_drift && check; } 3>&1 | cat)
    if [ -n "$drift" ]; then
      printf '%s\n' "$drift" | while IFS= read -r text; do report drift "$text"; done
    fi
    if [ -n "$drift" ] || [ "${2-}" = changed ]; then
      refusal=$(rehearse "$1") || case $drift in *"$refusal"*) ;; *) report fail "$refusal" ;; esac
    fi
    notices | while IFS= read -r text; do report notice "$text"; done
  else
    OWNER=$1
    if damaged; then
      report drift "its receipt $RECEIPT is damaged; it is applied again"
    elif [ ! -d "$RECEIPT/owners" ] && present; then
      report drift "its receipt $RECEIPT is missing; it is applied again"
    fi
    refusal=$(rehearse "$1") || report fail "$refusal"
  fi
}

# Reports who owns what on this machine, whichever stack's it is.
observe_owners() {
  PART=
  begin
  for file in "$STORE"/*/owners/*; do
    [ -e "$file" ] || continue
    PART=${file%/owners/*}
    PART=${PART##*/}
    # One that is damaged says nothing of whose it is.
    read -r owner generation <"$file" || continue
    report owner "$owner"
  done
}

# Prints what apply would refuse.
rehearse() { # OWNER
  # A shell's trap may still have the redirection of the command that it ended.
  exec 3>&1 >/dev/null 2>&1
  trap 'printf %s "${SAID:-cannot tell; see what up says}" >&3' EXIT
  read -r own_process rest </proc/self/stat
  able
  only_ours "$1"
  preflight
  closed_to_others
}

report() { printf 'metrics-tunnel\t%s\t%s\t%s\n' "$PART" "$1" "$2"; }

# What comes back of an HTTP request, headers and all, whoever answers and whatever it is. bash alone is on every host and
# speaks TCP; no other client is needed. It gets no startup file, environment or function of a login: what those print
# would be taken for an answer.
# It is sent by env's printf, since bash itself sends each line in a packet of its own: some answer the first and close.
# Ends with 7 where nobody takes the connection, with 124 or 143 where the answer did not end in time.
http_answer() { # http://ADDRESS:PORT/PATH SECONDS
  env -i PATH="$PATH" timeout "$2" bash --norc --noprofile -c '
    trap "" PIPE
    url=${1#*//} place=${url%%/*} address=${place%:*}
    exec 3<>/dev/tcp/${address//[][]}/${place##*:} || exit 7
    env printf "GET /%s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n" "${url#*/}" "$place" >&3
    cat <&3' - "$1" 2>/dev/null </dev/null
}

# Prints the body of an answer 200, and nothing of any other.
http_get() { # http://ADDRESS:PORT/PATH [SECONDS]
  http_answer "$1" "${2-6}" | sed -n '1{/^HTTP\/1\.[01] 200\( .*\)*\r*$/!q};1,/^\r*$/!p'
}

# Prints "metrics" for an answer that Prometheus can read whole: HTTP, status 200, one sample at least and no line that is
# none. Else what there is instead, in words that follow the name of who answers.
metrics_answer() { # http://ADDRESS:PORT/PATH SECONDS
  # What is printed last tells how the request ended, and whether the last line had an end.
  { http_answer "$1" "$2" && echo .0 || echo .$?; } | awk -v seconds="$2" '
    BEGIN {
      number = "[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+|[iI][nN][fF]([iI][nN][iI][tT][yY])?|[nN][aA][nN])([eE][-+]?[0-9]+)?"
      name = "[a-zA-Z_:][a-zA-Z0-9_:]*"
      sample = "^[ \t]*(" name "[ \t]+|(" name ")?[ \t]*[{].*[}][ \t]*)" number "([ \t]+" number ")?([ \t]+#.*)?[ \t]*$"
      promised = -1
    }
    NR > 1 { take(line, 1) }
    { line = $0 }
    END {
      match(line, /[.][0-9]+$/)
      ended = substr(line, RSTART + 1)
      whole_line = RSTART == 1
      if (!whole_line) take(substr(line, 1, RSTART - 1), 0)
      print verdict()
    }

    function take(text, end) {
      lines++
      if (lines == 1) first = text
      else if (in_body) body_line(text, end)
      else header(tolower(text))
    }
    function header(text) {
      sub(/\r$/, "", text)
      if (text == "") in_body = 1
      if (text ~ /^content-length:[ \t]*[0-9]+$/) { sub(/.*:[ \t]*/, "", text); promised = text + 0 }
      if (text ~ /^transfer-encoding:.*chunked/) chunked = 1
    }
    function body_line(text, end) {
      came += length(text) + end
      if (text ~ sample) samples++
      else if (text !~ /^[ \t]*(#.*)?$/) strange++
      if (text ~ /HTTPS|SSL|TLS/) names_tls = 1
      last_chunk = text ~ /^0\r?$/ || (last_chunk && text ~ /^\r?$/)
    }

    function verdict() {
      late = ended == 124 || ended == 143
      if (!lines) {
        if (ended == 7) return "takes no connection"
        return late ? "answers nothing within " seconds " s" : "closes the connection without an answer"
      }
      if (first ~ /^\025\003/) return "speaks TLS"
      if (first !~ /^HTTP\/1[.][01] [1-5][0-9][0-9]( .*)?\r?$/) return "answers with what is no HTTP"
      status = substr(first, 10, 3)
      if (status == 400 && names_tls) return "speaks TLS"
      if (status != 200) return "answers with status " status
      if (!whole()) return late ? "does not end its answer within " seconds " s" : "cuts its answer short"
      if (!samples && !strange) return "answers without one sample"
      if (!samples || (strange && !chunked)) return "answers with what is no metrics"
      return "metrics"
    }
    function whole() {
      if (promised >= 0) return in_body && came >= promised
      if (chunked) return last_chunk
      return in_body && ended == 0 && whole_line
    }'
}

# Whether metrics come from there, for poll: an exporter that leaves two requests unanswered will not answer the third.
# Sets answer, which says what there was instead.
metrics_from() { # http://ADDRESS:PORT/PATH SECONDS
  answer=$(metrics_answer "$1" "$2")
  case $answer in
  metrics) return 0 ;;
  *within*)
    hopeless=$unanswered
    unanswered=1
    ;;
  speaks*TLS | *40[13]) answer="$answer; one that wants a password or TLS is not served" ;;
  *"status 400") answer="$answer; it may answer to names alone that it knows: let it know $(called "$1"), or give another listen" ;;
  *"status 30"*) answer="$answer; redirects are not followed: give the path where its metrics are" ;;
  esac
  false
}

# The name that a request to a URL asks for.
called() { # http://ADDRESS:PORT/PATH
  place=${1#*//}
  place=${place%%/*}
  echo "${place%:*}"
}

# Refuses where a key line would open a port that nobody listens on, unless a line opens it already or did: an exporter
# that has stopped since must not keep its host from a new key, and the exporter's own part starts it.
listened() { # OLD-LINES
  for A in $(echo "$LINE" | grep -o '127\.0\.0\.1:[0-9]*'); do
    case $1 in *"\"$A\""*) continue ;; esac
    [ -n "$(ss -Hltn "sport = :${A#*:}")" ] || fail "nothing listens on port ${A#*:}; start the exporter, or give its port"
  done
}

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

# sshd's settings for LOGIN from an origin. A Match of any kind wants all that is given here.
effective() { # ADDRESS,HOST [SSHD'S OPTION ...]
  from="addr=${1%,*},host=${1#*,}"
  shift
  while IFS= read -r option; do
    [ -z "$option" ] || set -- "$@" -o "$option"
  done <<OPTIONS
$(command_line_options)
OPTIONS
  sshd -T -C "user=$LOGIN,$from,laddr=${HERE:-127.0.0.1},lport=${SSH_PORT:-22},rdomain=" "$@"
}

# The unit that sshd runs in.
sshd_unit() {
  for service in ssh.service sshd.service; do
    if systemctl is-active -q $service; then
      echo $service
      return
    fi
  done
  process=$(ss -Hltnp | sed -n 's/.*"sshd",pid=\([0-9]*\).*/\1/p' | head -n 1)
  [ -z "$process" ] || unit_of $process
}

# The settings that the running sshd was given on its command line, which count before those of its files.
command_line_options() {
  running_sshd | sed 's/ -o */\
-o/g' | sed -n 's/ -.*//; s/ \[listener\].*//; s/^-o//p'
}

# The command line of the sshd that listens, as it shows it.
running_sshd() { tr '\0' ' ' 2>/dev/null </proc/$(shows "$(sshd_unit)" MainPID)/cmdline || :; }

refuse_shut_out() {
  reason=$(shut_out | head -n 1)
  [ -z "$reason" ] || fail "$reason"
}

# Says what keeps LOGIN out beside the settings of sshd itself: TCP wrappers, and what PAM asks of an account.
shut_out() {
  rule=$(wrapper_rules | first_match sshd)
  if [ -n "$rule" ]; then
    let_in=${FROM:-ADDRESS, the one that the server comes from}
    echo "TCP wrappers keep the server out by '${rule#-:}' of /etc/hosts.deny; add to /etc/hosts.allow: sshd: $let_in" \
      "(where that is not what it comes from, give egress too)"
  fi
  sshd -T 2>/dev/null | grep -qx 'usepam yes' || return 0
  if account_asks pam_nologin >/dev/null; then
    [ ! -e /etc/nologin ] || echo "/etc/nologin lets nobody in but root; take it away"
    # systemd's own.
    [ ! -e /run/nologin ] ||
      echo "/run/nologin lets nobody in but root while the machine boots or is to shut down; run again when it has, or take it away"
  fi
  asked=$(account_asks pam_access) || return 0
  case $asked in *fieldsep=* | *listsep=*) return 0 ;; esac
  file=$(printf '%s\n' "$asked" | sed -n 's/.*[[:space:]]accessfile=\([^[:space:]]*\).*/\1/p' | head -n 1)
  rule=$(cat ${file:-/etc/security/access.conf /etc/security/access.d/*.conf} 2>/dev/null | first_match $LOGIN)
  if [ -n "$rule" ]; then
    file=${file:-/etc/security/access.conf}
    echo "PAM keeps user $LOGIN out by '$rule' of $file; add before that line: + : $LOGIN : ALL"
  fi
}

# The lines of PAM's account rules for sshd that name a module; false where there is none.
account_asks() { # MODULE
  included=$(sed -n 's/^@include[[:space:]]*//p
s/^-*account[[:space:]]*\(include\|substack\)[[:space:]]*//p' /etc/pam.d/sshd 2>/dev/null)
  for file in sshd $included; do
    grep -s "^-*account[[:space:]].*$1\.so" /etc/pam.d/$file || :
  done | grep .
}

# The rules of TCP wrappers as those of pam_access, for a sshd that knows them; hosts.allow comes first.
wrapper_rules() {
  ldd "$(command -v sshd)" 2>/dev/null | grep -q libwrap || return 0
  for file in allow deny; do
    sed -e :more -e '/\\$/{N;s/\\\n//;b more' -e '}' /etc/hosts.$file 2>/dev/null | awk -F: -v sign=$file '
      /^[ \t]*(#|$)/ { next }
      {
        verdict = sign
        if (tolower($3) ~ /^[ \t]*(allow|deny)[ \t]*$/) verdict = tolower($3)
        print (verdict ~ /allow/ ? "+" : "-") ":" $1 ":" $2
      }'
  done
}

# Reads rules, "+ or - : names : origins", of which the first that matches counts; prints it where it keeps NAME out. Plain
# addresses are compared. What else an origin is counts as met where a rule lets in or excepts it, and as not met where one
# keeps out: what may work is not refused.
first_match() { # NAME
  awk -v name="$1" -v from=" ${FROM-} " '
    function match_of(list, what, sign,   words, count, i, hit) {
      count = split(list, words, /[ ,\t]+/)
      for (i = 1; i <= count; i++) {
        if (words[i] == "EXCEPT") {
          if (!hit) return 0
          sub(/^.*[ ,\t]EXCEPT[ ,\t]/, "", list)
          return !match_of(list, what, "+")
        }
        if (words[i] != "" && (what == "name" ? is_name(words[i]) : is_origin(words[i], sign))) hit = 1
      }
      return hit
    }
    function is_name(word) { return word == "ALL" || word == name || word == "(" name ")" }
    function is_origin(word, sign) {
      if (word == "ALL") return 1
      if (word == "LOCAL") return 0
      met = index(from, " " word (word ~ /\.$/ ? "" : " ")) > 0
      if (from ~ /[0-9]/ && from !~ /[^0-9. ]/ && word ~ /^[0-9.]+$/) return met
      return sign == "+" || met
    }
    /^[ \t]*(#|$)/ { next }
    {
      line = $0
      sign = substr(line, 1, index(line, ":") - 1)
      rest = substr(line, index(line, ":") + 1)
      names = substr(rest, 1, index(rest, ":") - 1)
      origins = substr(rest, index(rest, ":") + 1)
      gsub(/[ \t]/, "", sign)
      if (match_of(names, "name", sign) && match_of(origins, "origin", sign)) {
        if (sign == "-") print line
        exit
      }
    }'
}

# Reads addresses; prints with each the host that a Match sees: its name where sshd looks names up, else the address.
origins() {
  looks_up=$(sshd -T 2>/dev/null | grep -x 'usedns yes' || :)
  awk '!seen[$0]++' | while read -r address; do
    host=
    if [ -n "$looks_up" ]; then
      host=$(getent hosts $address | awk '{ print $2; exit }')
    fi
    echo $address,${host:-$address}
  done
}

# Reads sshd's settings for LOGIN; prints the lists in them that do not let LOGIN in. What a pattern says of addresses
# beyond a plain match is passed over where it lets in, and taken for nothing where it keeps out.
keeps_out() { # ADDRESS
  groups=$(id -Gn $LOGIN 2>/dev/null || :)
  : "${groups:=$LOGIN}"
  while read -r keyword pattern; do
    case $keyword in
    allowusers | denyusers) names=$LOGIN ;;
    allowgroups | denygroups) names=$groups ;;
    *) continue ;;
    esac
    case $keyword,$pattern in
    denyusers,*@*) is_like $1 "${pattern#*@}" || continue ;;
    esac
    matches=no
    for name in $names; do
      ! is_like $name "${pattern%@*}" || matches=yes
    done
    echo $keyword $matches
  done | awk '
    { listed[$1] }
    $2 == "yes" { matched[$1] }
    END { for (list in listed) if ((list ~ /^deny/) == (list in matched)) print list }'
}

is_like() { # TEXT PATTERN
  # shellcheck disable=SC2254
  case $1 in $2) ;; *) false ;; esac
}

# Says how to let LOGIN in.
let_in() { # LIST
  file=$(grep -il "^[[:space:]]*$1[[:space:]=]" /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf 2>/dev/null | head -n 1)
  case $1 in
  allowusers) echo "by AllowUsers; add the line 'AllowUsers $LOGIN' to ${file:-its file}" ;;
  allowgroups) echo "by AllowGroups; add the line 'AllowGroups $(id -gn $LOGIN 2>/dev/null || echo $LOGIN)' to ${file:-its file}" ;;
  denyusers) echo "by DenyUsers; take what means it out of DenyUsers in ${file:-its file}" ;;
  denygroups) echo "by DenyGroups; take its groups out of DenyGroups in ${file:-its file}" ;;
  esac
}

# Of the key that LINE lets in, or that it will.
key_type() {
  type_and_key=${LINE% *}
  type=${type_and_key% *}
  type=${type##* }
  echo ${type:-${KEY_TYPE-}}
}

# The places that LINE opens.
line_ports() { printf '%s\n' "$LINE" | grep -o '127\.0\.0\.1:[0-9]*' || :; }

# Reads sshd's settings; is a key of this type let in? An RSA key signs by other names than its own. What an sshd does not
# tell is taken for let in.
takes_type() { # TYPE
  case $1 in
  ssh-rsa) signs='rsa-sha2-512 rsa-sha2-256' ;;
  *) signs=$1 ;;
  esac
  while read -r keyword list; do
    case $keyword in pubkeyaccepted*) ;; *) continue ;; esac
    for name in $signs; do
      case ,$list, in *",$name,"*) return ;; esac
    done
    return 1
  done
}

no_such_keys() { # TYPE
  echo "sshd takes no $1 keys; add $1 to PubkeyAcceptedAlgorithms there, or set tunnelPrivateKey to a key of a type that it takes"
}

sshd_is_valid() { complaint=$(sshd -t 2>&1) || fail "sshd's configuration is invalid, mend it: $complaint"; }

# Reads key lines; prints all but ours. One with our key and no name of ours is none: it would lift the limits.
other_lines() {
  key=${LINE% *}
  awk -v id=$ID -v key="${key##* }" '$NF != id && (!index($0, key) || /^restrict,.* metrics-tunnel-[^ ]*$/)'
}

# Reads key lines; says what is wrong with ours among them.
line_drift() { # FILE
  key=${LINE% *}
  awk -v id=$ID -v line="$LINE" -v key="${key##* }" -v file="$1" '
    $0 == line { found++; next }
    $NF == id {
      changed = 1
      if (index($0, key) && !/^restrict,/) twin = 1
      next
    }
    index($0, key) && !/^restrict,.* metrics-tunnel-[^ ]*$/ { loose = 1 }
    END {
      if (found && twin) loose = 1
      else if (changed) print "the line of the key in " file " was changed"
      else if (!found) print "the line of the key in " file " is missing"
      if (found > 1) print "the line of the key in " file " stands there " found " times"
      if (loose) print "the key is not alone in " file ": it stands there in another line too, without its limits"
    }'
}

# A property of a unit.
shows() { systemctl show -p "$2" --value -- $1; }

# What a unit of ours ends with, less what this systemd does not know: `systemd-analyze security` rates it 1.1.
sandbox() { # PROGRAMS [LEFT-OUT]
  W=${2-=}
  [ $V -ge 248 ] || W="$W|PrivateIPC|(No)?ExecPaths"
  echo "NoNewPrivileges=yes
CapabilityBoundingSet=
SecureBits=noroot-locked
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
PrivateIPC=yes
PrivateMounts=yes
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @setuid @keyring @memlock
NoExecPaths=/
ExecPaths=$1 /usr/lib /lib -/lib64
InaccessiblePaths=-/boot -/srv -/media -/mnt -/var/lib -/run/dbus
TasksMax=8
MemoryMax=64M
LimitCORE=0
OOMScoreAdjust=-200
[Install]
WantedBy=multi-user.target" | grep -vE "^($W)"
}

# Starts a unit anew. What it failed at before, or how often it was started in a short time, must not stand in the way of a
# start of ours: from systemd 253 on that count outlives a daemon-reload.
start_again() { # UNIT
  systemctl reset-failed "$1" 2>/dev/null || :
  systemctl restart "$1"
}

# Whether a unit, started anew, runs, and is the same process some seconds later: one that dies of its settings does so
# at once, and `systemctl restart` does not wait for that.
runs_again() { # UNIT
  start_again "$1" || return 1
  process_then=$(shows "$1" MainPID)
  sleep 3
  systemctl is-active -q "$1" && [ "$(shows "$1" MainPID)" = "$process_then" ]
}

# For undo_unit. Sets ran_before, and worked_before by what a command says of UNIT.
note_unit() { # COMMAND
  refuse_dropins_by_prefix
  ran_before=
  worked_before=
  case $(shows "$UNIT" ActiveState) in active | activating | reloading) ran_before=yes ;; esac
  if [ -n "$ran_before" ] && $1; then
    worked_before=yes
  fi
}

# Starts UNIT as its file says, again where CHANGED. What overrides it is drift: it goes for good, and is only put back
# where this apply fails.
run_unit() {
  systemctl daemon-reload
  for dropin in $(own_dropins); do
    [ -e "$dropin" ] || continue
    remember "${dropin%/*}"
    rm -r "${dropin%/*}"
    CHANGED=1
    systemctl daemon-reload
  done
  remember "$D/multi-user.target.wants/$UNIT"
  systemctl -q enable $UNIT
  START=$(date +%s)
  if [ -n "$CHANGED" ] || ! systemctl is-active -q "$UNIT"; then
    # What fails once, as where systemd is in the middle of something, it tries again by itself, after RestartSec.
    start_again "$UNIT" || poll 6 is_running || fail "$UNIT does not start$(why_not_started); see: journalctl -u $UNIT"
  fi
}

is_running() { systemctl is-active -q "$UNIT"; }

# Systemd's own word of a unit whose program it could not start, as in a container that may not mount.
why_not_started() {
  journalctl -u "$UNIT" -qo cat --since "@$START" | sed -n 's/^.*: \(Failed at step .*\)/: \1/p' | tail -n 1
}

# Drop-ins for UNIT alone; those for all services are the machine's.
own_dropins() { dropins | grep "/$UNIT.d/" || :; }

# Drop-ins for units whose names begin as UNIT's does, in one line: others may be meant as well.
dropins_by_prefix() { { dropins | grep -v -e '/service\.d/' -e "/$UNIT.d/" || :; } | paste -sd ' ' -; }

dropins() { shows $UNIT DropInPaths | tr ' ' '\n' | grep . || :; }

refuse_dropins_by_prefix() {
  overriding=$(dropins_by_prefix)
  [ -z "$overriding" ] || fail "$UNIT is overridden by $overriding, as are others whose names begin so; take that away, or give it another name"
}

# After its files were put back: what ran before runs again, and what worked before works again, by what the command says
# that note_unit got. Sets lost where it does not.
undo_unit() { # COMMAND
  systemctl daemon-reload
  if [ ! -e "$F" ]; then
    lost=$({ (restore) >/dev/null; } 3>&1)
  elif [ -z "$ran_before" ]; then
    systemctl stop "$UNIT"
  else
    start_again "$UNIT"
    # Others need not wait for it.
    flock -u 9
    [ -z "$worked_before" ] || poll 20 "$1" || lost="$UNIT does not work as before; see: journalctl -u $UNIT"
  fi
}

drop_unit() { # FILES of it
  systemctl stop $UNIT || :
  away $F $F.d.mt-old $D/multi-user.target.wants/$UNIT "$@"
  systemctl daemon-reload
  systemctl reset-failed $UNIT 2>/dev/null || :
}

# What keeps UNIT from running as its file says.
unit_drift() {
  overriding=$(dropins_by_prefix)
  [ -z "$overriding" ] || echo "$UNIT is overridden by $overriding"
  systemctl show -p UnitFileState -p ActiveState -p DropInPaths $UNIT | while IFS= read -r W; do
    case $W in
    UnitFileState=enabled) ;;
    UnitFileState=masked*) echo "$UNIT is masked; it gets its file back and is started" ;;
    UnitFileState=*) echo "$UNIT is not enabled; it is enabled again" ;;
    ActiveState=inactive | ActiveState=failed | ActiveState=deactivating)
      echo "$UNIT is stopped; it is started again"
      ;;
    DropInPaths=*"/$UNIT.d/"*)
      echo "$UNIT is overridden by $(own_dropins | tr '\n' ' ' | sed 's/ $//'); that goes, with its folder"
      ;;
    esac
  done
}
