#!/bin/sh
# On a host: an exporter on loopback alone, by a drop-in that puts loopback into the listen flags of its unit's own command.
# Stacks that close the same port share the drop-in; the last to leave gives the exporter back. With MANAGE=no nothing is
# changed: whoever runs the exporter has bound it to loopback, and that is looked at.
#
# Values: PORT, METRICS (path), SERVICE (unit, or empty: found by the listener), MANAGE (yes or no), SCRAPE_SECONDS (that
# one scrape may take).
# Own:    UNIT (the exporter's), DROPIN (ours for it), COMMAND (the unit's own command line).
# Uses: core receipt files process http metrics-answer.awk

shared() { true; }

preflight() {
  if [ "$MANAGE" = no ]; then
    bound_by_hand
    return 0
  fi
  find_exporter
  find_command
  # What was closed once is known to take it.
  if [ "$(kept command)" != "$COMMAND" ] || [ ! -e "$DROPIN" ]; then
    takes_the_flag
  fi
}

by_hand() { echo "bind it to 127.0.0.1:$PORT by its own settings, and set manage: false for this exporter"; }

# --- Who listens.

listeners() { ss -Hltnp "sport = :$PORT"; }

# Where something listens on the port, a line each.
listening_on() { listeners | awk '{ print $4 }' | sort -u; }

# What listens on more than loopback.
open_places() { listening_on | grep -vE '^(127\.|\[::1\]|\[::ffff:127\.)' || :; }

# Reads `ss`; prints a line "process address name" for each process that listens.
processes() {
  awk '{
    address = $4
    while (match($0, /"[^"]*",pid=[0-9]+/)) {
      split(substr($0, RSTART + 1, RLENGTH - 1), part, /",pid=/)
      print part[2], address, part[1]
      $0 = substr($0, RSTART + RLENGTH)
    }
  }'
}

# Sets UNIT and DROPIN.
find_exporter() {
  unit_that_listens=$(only_unit)
  case $unit_that_listens in *' '*) fail "port $PORT has several owners: $unit_that_listens; give each a port of its own" ;; esac
  case $(listeners) in *docker-proxy*) foreign ;; esac
  UNIT=${SERVICE:-$(closed_units)}
  if [ -z "$UNIT" ]; then
    [ -n "$(listeners)" ] || fail "nothing listens on port $PORT; start the exporter, or give its port"
    [ -n "$unit_that_listens" ] || foreign
    UNIT=$unit_that_listens
  fi
  if [ -n "$unit_that_listens" ] && [ "$unit_that_listens" != "$UNIT" ]; then
    fail "port $PORT is $unit_that_listens's; give that unit"
  fi
  DROPIN=$(dropin_of "$UNIT")
  other=$(grep -lxsF "$UNIT" "$STORE"/exporter-*/unit | grep -vxF "$RECEIPT/unit" || :)
  [ -z "$other" ] || fail "$UNIT is closed for another port already (${other%/unit}); set manage: false for one of the two"
}

# The unit of who listens, or nothing; of several, each with its name and address.
only_unit() {
  owners=$(listeners | processes | while read -r process address name; do
    unit=$(unit_of "$process")
    echo "${unit:--} $address $name"
  done | sort -u)
  case $(echo "$owners" | cut -d' ' -f1 | sort -u | wc -l) in
  1) echo "$owners" | sed -n '1{s/^- .*//;s/ .*//;p;}' ;;
  *) echo "$owners" | sed 's/\([^ ]*\) \([^ ]*\) \(.*\)/\3 (\1) on \2/;s/ (-)/ (no service)/' | paste -sd , | sed 's/,/, /g' ;;
  esac
}

foreign() {
  fail "port $PORT is a container's or socket's, no service's; bind it to 127.0.0.1 there (docker -p 127.0.0.1:$PORT:$PORT), and set manage: false"
}

dropin_of() { # UNIT
  echo "/etc/systemd/system/$1.d/zz-metrics-tunnel.conf"
}

# The units that our drop-in for this port is for: by the receipt, however the drop-in looks now, or by its text.
closed_units() {
  {
    find "$(dropin_of "$(kept unit)")" 2>/dev/null || :
    grep -lsE "^ours=--web\.listen-address=127\.0\.0\.1:$PORT;|=127\.0\.0\.1:$PORT' metrics-tunnel " \
      $(dropin_of '*.service')* || :
  } | sed 's/\.d\/[^/]*$//; s/.*\///' | sort -u
}

# --- What it is started with.

# Reads `systemctl cat`; prints the unit's own commands as systemd reads its files without our drop-in, a line each.
own_command() {
  awk '
    function take(line) {
      gsub(/^[ \t]+|[ \t]+$/, "", line)
      if (line ~ /^\[/) section = line
      else if (section == "[Service]" && !ours && sub(/^ExecStart[ \t]*=[ \t]*/, "", line)) {
        if (line == "") count = 0
        else command[++count] = line
      }
    }
    { sub(/\r$/, ""); sub(/^\357\273\277/, "") }
    whole == "" && /^# \// { ours = /\/zz-metrics-tunnel\.conf$/ }
    # A comment ends at its line, and does not end the line that it stands in.
    /^[ \t]*[#;]/ { next }
    { whole = whole $0 }
    # An even number of backslashes are themselves.
    match(whole, /\\+$/) && RLENGTH % 2 { whole = substr(whole, 1, length(whole) - 1) " "; next }
    { take(whole); whole = "" }
    END {
      if (whole != "") take(whole)
      for (i = 1; i <= count; i++) print command[i]
    }'
}

# Sets COMMAND.
find_command() {
  # It warns where a file was changed that systemd has not read yet.
  COMMAND=$(systemctl cat "$UNIT" 2>/dev/null | own_command)
  case $(without_prefix "$COMMAND") in
  '') fail "unit $UNIT ($(shows "$UNIT" LoadState)) has no ExecStart; unmask it, or give the exporter's unit" ;;
  *'
'* | *' ; '*) fail "unit $UNIT has several commands in ExecStart; $(by_hand)" ;;
  [@:\|]*) fail "unit $UNIT has an ExecStart with @ or : or |, which is not served; $(by_hand)" ;;
  *systemd-socket*) foreign ;;
  esac
  case $(shows "$UNIT" FragmentPath) in
  /run/systemd/*) fail "unit $UNIT is made anew at each start or boot; write a unit file for it, or $(by_hand)" ;;
  esac
}

# systemd's own letters before a command are +, ! and -.
without_prefix() { # COMMAND
  echo "${1#"$(exec_prefix "$1")"}"
}

exec_prefix() { # COMMAND
  echo "${1%%[!+!-]*}"
}

# Reads a command; prints its words without quotes and escapes, a line each.
words() {
  awk '{
    for (i = 1; i <= length($0); i++) {
      letter = substr($0, i, 1)
      if (letter == "\\") { word = word substr($0, ++i, 1); begun = 1 }
      else if (quote != "") { if (letter == quote) quote = ""; else word = word letter }
      else if (letter == "\"" || letter == "\047") { quote = letter; begun = 1 }
      else if (letter ~ /[ \t]/) { if (begun) print word; word = ""; begun = 0 }
      else { word = word letter; begun = 1 }
    }
    if (begun) print word
  }'
}

# Refuses, before anything is touched, what can be seen not to take our flag; the proof sees the rest.
takes_the_flag() {
  main_process=$(shows "$UNIT" MainPID)
  first=
  shell=
  scripts=
  looked_at=
  holds=
  while IFS= read -r word; do
    case ${first:+not}$word in /* | not*) ;; *) word=$(command -v "$word" || echo "$word") ;; esac
    case $shell:$word in
    ?*:-c | ?*:-[a-z]*c) behind_a_shell ;;
    ?*:[!-]*) shell= ;;
    esac
    case ${word##*/} in sh | bash | dash | ash | ksh | zsh) shell=$word ;; esac
    case $word in @/*) fail "unit $UNIT has flags in a file ($word), which ours would come on top of; $(by_hand)" ;; esac
    look_at "$word"
    first=${first:-$word}
  done <<END
$(without_prefix "$COMMAND" | words)
END
  [ ! -e "/proc/$main_process/root/bin" ] || [ -x "/proc/$main_process/root/bin/sh" ] ||
    fail "unit $UNIT may not run /bin/sh, which our drop-in needs (RootDirectory, NoExecPaths or the like); $(by_hand)"
  [ -z "$scripts" ] || no_other_customers
  # Its own command gives the flag, or what the command's variables stand for does.
  case $COMMAND$(cat "/proc/$main_process/environ" 2>/dev/null | tr '\0' '\n') in
  *web.systemd-socket*) foreign ;;
  *web.listen-address*) return 0 ;;
  esac
  [ -n "$scripts" ] || look_at "/proc/$main_process/exe"
  [ -n "$holds" ] || listeners_hold_it
  [ -n "$holds" ] || [ -z "$looked_at" ] || unknown_flag "$first"
  for script in $scripts; do
    # It may hand its arguments on.
    grep -qe 'web\.listen-address' -e '[$]@' -e '[$][*]' "$script" || unknown_flag "$script"
  done
}

unknown_flag() { # PROGRAM
  fail "$1 of $UNIT does not know --web.listen-address, so it would not start with it; $(by_hand)"
}

behind_a_shell() { fail "unit $UNIT has its command behind a shell of its own (-c), where no flag reaches it; $(by_hand)"; }

# Adds to looked_at, to scripts, and to holds where the flag's text is in the file.
look_at() { # WORD
  case $1 in /*) ;; *) return 0 ;; esac
  [ -f "$1" ] || return 0
  case $1 in *.py | *.js | *.rb | *.pl | *.sh | *.jar) ;; *) [ -x "$1" ] || return 0 ;; esac
  looked_at="$looked_at $1"
  if [ "$(head -c 2 "$1" | tr -d '\0')" = '#!' ]; then scripts="$scripts $1"; fi
  if grep -qs 'web\.listen-address' "$1"; then holds="$holds $1"; fi
}

# A script that starts another program hands the flag on to it.
listeners_hold_it() {
  [ -n "$scripts" ] || return 0
  for process in $(listeners | processes | cut -d' ' -f1); do look_at "/proc/$process/exe"; done
}

# A script with something else that listens is a service of its own, whose customers a restart would cut off.
no_other_customers() {
  others=$(ss -Hltnp | processes | while read -r process address name; do
    case $COMMAND in *web.listen-address*":${address##*:}"*) continue ;; esac
    if [ "${address##*:}" != "$PORT" ] && [ "$(unit_of "$process")" = "$UNIT" ]; then echo "$address ($name)"; fi
  done | sort -u | paste -sd ' ')
  [ -z "$others" ] || fail "unit $UNIT serves $others too, and may not know --web.listen-address; $(by_hand)"
}

# --- Closing it.

change() {
  places_before=$(listening_on)
  answer_before=
  ran_before=
  restarted=
  closed_before=$(closed_units)
  if [ "$MANAGE" = no ]; then
    hand_over
    return 0
  fi
  case $(shows "$UNIT" ActiveState) in active | activating | reloading) ran_before=yes ;; esac
  # First what tells a removal of the folder, should nothing come into it, and where it was before the first time.
  keep unit "$UNIT"
  if [ -z "$closed_before" ] && [ -z "$(kept places)" ]; then
    keep places "$places_before"
  fi
  mkdir -p "${DROPIN%/*}"
  text_changed=
  put "$DROPIN" "$(dropin)"
  systemctl daemon-reload
  if [ -n "$text_changed$(open_places)" ] || [ -z "$(listeners)" ]; then
    restart "$UNIT" || fail "$UNIT does not start; see: journalctl -u $UNIT"
  fi
}

# Starts it anew. For undo, sets answer_before.
restart() { # UNIT
  if [ -z "$restarted" ] && [ -n "$places_before" ]; then
    answer_before=$(metrics_answer "$(url_of "$places_before")" "$SCRAPE_SECONDS")
  fi
  restarted=yes
  start_again "$1"
}

# Where to ask what listens on these places.
url_of() { # PLACES
  echo "$1" | sed "1{s/^\*:/127.0.0.1:/;s/^0\.0\.0\.0:/127.0.0.1:/;s/^\[::\]:/127.0.0.1:/;s/^\[::ffff:\(.*\)\]/\1/;s/%[^]:]*//;s|^|http://|;s|\$|$METRICS|;q;}"
}

# The flags of this port go, ours comes in the first one's place, or at the end; all else stays as it is.
# systemd reads $$ as $.
dropin() {
  prefix=$(exec_prefix "$COMMAND")
  echo "# Managed by metrics-tunnel: loopback alone.
[Service]
ExecStart=
ExecStart=$prefix/bin/sh -c ' \\
ours=--web.listen-address=127.0.0.1:$PORT; held=; \\
for word; do \\
shift; \\
case \$\$held:\$\$word in \\
:-web.listen-address | :--web.listen-address) held=\$\$word; continue ;; \\
:-web.listen-address=*:$PORT | :--web.listen-address=*:$PORT | -*:*:$PORT) set -- \"\$\$@\" \$\$ours; ours= ;; \\
*) set -- \"\$\$@\" \$\${held:+\"\$\$held\"} \"\$\$word\" ;; \\
esac; \\
held=; \\
done; \\
exec \"\$\$@\" \$\$held \$\$ours' metrics-tunnel $(without_prefix "$COMMAND")"
}

# Within the lock: another stack may close the same port.
prove() {
  if [ "$MANAGE" = no ] && [ -z "$(listeners)" ]; then
    # It was there when it came under our eyes: health, not drift.
    return 0
  fi
  answer=
  poll 15 answers && return 0
  still_open=$(open_places | paste -sd ' ')
  if [ -n "$still_open" ] && [ "$MANAGE" = no ]; then
    fail "without our drop-in the exporter listens on $still_open; bind it to 127.0.0.1:$PORT by its own settings first"
  elif [ -n "$still_open" ]; then
    fail "exporter still listens on $still_open; see what overrides ours: systemctl cat $UNIT"
  elif [ -z "$UNIT" ]; then
    fail "the exporter on 127.0.0.1:$PORT $answer; see: curl http://127.0.0.1:$PORT$METRICS"
  elif [ "$answer" = metrics ]; then
    fail "port $PORT is no longer $UNIT's alone: $(only_unit); see: journalctl -u $UNIT"
  else
    fail "exporter did not come back on 127.0.0.1:$PORT, which $answer; see: journalctl -u $UNIT"
  fi
}

# On loopback alone, and by the unit itself: what answers there may be another program, or what it was before, as it ends.
answers() {
  metrics_from "http://127.0.0.1:$PORT$METRICS" "$SCRAPE_SECONDS" || return 1
  [ -z "$(open_places)" ] || return 1
  case $UNIT:$(only_unit) in :* | *: | "$UNIT:$UNIT") ;; *) return 1 ;; esac
}

# Reads `systemctl cat`; prints the listen flags that the unit's environment files ask for. The drop-in overrules them.
asked() {
  sed -n 's/^[ \t]*EnvironmentFile[ \t]*=[ \t]*-*//p' | while read -r environment_file; do
    grep -Ho -e '--*web.listen-address[= ][^" ]*' $environment_file 2>/dev/null || :
  done
}

record() {
  if [ "$MANAGE" = no ]; then
    keep unit ''
    rm -f "$RECEIPT/manifest" "$RECEIPT/command" "$RECEIPT/asked" "$RECEIPT/places"
    return 0
  fi
  now_asked=$(systemctl cat "$UNIT" 2>/dev/null | asked)
  # Where it was before the first time holds for what it was started with then.
  if [ -e "$RECEIPT/command" ] &&
    { [ "$(kept command)" != "$COMMAND" ] || [ "$(kept asked)" != "$now_asked" ]; }; then
    rm -f "$RECEIPT/places"
  fi
  keep asked "$now_asked"
  keep command "$COMMAND"
  manifest "$DROPIN"
}

# --- Giving it back.

undo() {
  for UNIT in $UNIT; do
    rmdir "$(dirname "$(dropin_of "$UNIT")")" 2>/dev/null
    systemctl daemon-reload
    if [ -z "$restarted" ]; then
      continue
    elif [ -z "$ran_before" ]; then
      systemctl stop "$UNIT"
    else
      start_again "$UNIT"
      poll 15 as_before || lost="$UNIT does not answer on $(echo "$places_before" | paste -sd ' ') as it did; see: journalctl -u $UNIT"
    fi
  done
}

as_before() {
  [ "$(listening_on)" = "$places_before" ] || return 1
  [ "$answer_before" != metrics ] || metrics_from "$(url_of "$places_before")" "$SCRAPE_SECONDS"
}

# Where an earlier run took the drop-in away and came no further, the unit of the receipt still has to be told.
restore() {
  for UNIT in $({ kept unit && closed_units; } | sort -u); do
    places_before=
    if [ "$(metrics_answer "http://127.0.0.1:$PORT$METRICS" "$SCRAPE_SECONDS")" = metrics ]; then
      places_before=$(first_places)
    fi
    DROPIN=$(dropin_of "$UNIT")
    away "$DROPIN"
    rmdir "${DROPIN%/*}" 2>/dev/null || :
    systemctl daemon-reload
    case $(shows "$UNIT" LoadState):$(shows "$UNIT" ActiveState) in
    not-found:*) ;;
    *:active | *:activating | *:reloading)
      start_again "$UNIT" || fail "$UNIT does not start; see: journalctl -u $UNIT"
      answer_before=metrics
      [ -z "$places_before" ] || poll 15 as_before ||
        fail "$UNIT has its own command back, and does not answer on $(echo "$places_before" | paste -sd ' ') as before; see: journalctl -u $UNIT"
      ;;
    esac
  done
}

# Where it was before the first time, unless somebody has changed since what it is started with.
first_places() {
  unit_text=$(systemctl cat "$UNIT" 2>/dev/null || :)
  if [ "$(printf '%s\n' "$unit_text" | own_command)" = "$(kept command)" ] &&
    [ "$(printf '%s\n' "$unit_text" | asked)" = "$(kept asked)" ]; then
    kept places
  fi
}

places() {
  closed=${UNIT:-$(kept unit)}
  [ "$MANAGE" = no ] || [ -z "$closed" ] || dropin_of "$closed"
}

# --- An exporter that somebody else keeps on loopback.

# Refuses where it is not there, or open, unless our own drop-in has closed it. Sets UNIT where it has.
bound_by_hand() {
  UNIT=$(closed_units)
  [ -z "$UNIT" ] || return 0
  still_open=$(open_places | paste -sd ' ')
  [ -z "$still_open" ] ||
    fail "port $PORT is open on $still_open, and manage: false changes nothing; bind it to loopback (a container: docker -p 127.0.0.1:$PORT:$PORT), or take manage out"
  # One that has stopped since is health.
  [ -d "$RECEIPT/owners" ] || listening_on | grep -qE '^(127\.0\.0\.1|\[::ffff:127\.0\.0\.1\]):' ||
    fail "nothing listens on 127.0.0.1:$PORT; start the exporter there, or give its port"
}

# From now on others bind it: our drop-in goes, and what comes instead has to be on loopback too.
hand_over() {
  for closed in $UNIT; do
    DROPIN=$(dropin_of "$closed")
    case $(shows "$closed" ActiveState) in active | activating | reloading) ran_before=yes ;; esac
    remember "$DROPIN"
    rm -f "$DROPIN"
    rmdir "${DROPIN%/*}" 2>/dev/null || :
    systemctl daemon-reload
    [ -z "$ran_before" ] || restart "$closed" || fail "$closed does not start; see: journalctl -u $closed"
  done
}
