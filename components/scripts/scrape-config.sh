#!/bin/sh
# On a server: a host's target file. Waits until Prometheus reports all of its targets up.
# Values: HOST, TARGETS (JSON), LISTED (a line a target: how Prometheus' API tells of it), WAIT (seconds).
# Uses: core receipt files process http

# The scrape job, which comes before, has found Prometheus already.
preflight() { paths; }

paths() { F=/etc/metrics-tunnel/targets/$STACK/$HOST.json; }

change() {
  URL=$(cat $STORE/scrape-job-$STACK/url)
  mkdir -p ${F%/*}
  text_changed=
  put $F "$TARGETS"
  # What Prometheus saw before a change proves nothing of it, were it half a second.
  changed_at=0
  [ -z "$text_changed" ] || changed_at=$(utc_text now)
}

prove() {
  flock -u 9
  deadline=$(($(date +%s) + WAIT))
  poll "$WAIT" all_up ||
    fail "Prometheus does not report $HOST up in $WAIT s; see the targets on $URL: $reason"
}

# Whether Prometheus has scraped every target of the file since that was written, as its own list of targets says, which
# there is in agent mode too; else sets reason. A slow answer must not make the wait longer than WAIT.
all_up() {
  [ "$(date +%s)" -lt "$deadline" ] || hopeless=1
  list=$(http_get "$URL/api/v1/targets?state=active" | sed 's/{"discoveredLabels":/\n&/g' | as_letters)
  verdicts=$(printf '%s\n' "$LISTED" | as_letters | while IFS= read -r line; do verdict "$line"; done)
  reason=$(printf '%s\n' "$verdicts" | grep -vx up | head -n 1)
  # Each of them has to say so: what says nothing is not up.
  [ "$verdicts" = "$(printf '%s\n' "$LISTED" | sed 's/.*/up/')" ]
}

# Prometheus before 2.53 or so writes three letters as numbers, a later one does not.
as_letters() { sed 's/\\u003c/</g;s/\\u003e/>/g;s/\\u0026/\&/g'; }

# Prints "up", or what keeps a target from being up.
verdict() { # ITS LINE OF LISTED
  target=$(printf '%s\n' "$list" | grep -F "\"__meta_filepath\":\"$F\"" | grep -F -e "$1" || :)
  if [ -z "$target" ]; then
    why_not_listed
    return
  fi
  # Of a text within a value each quotation mark has a backslash before it.
  health=$(printf '%s\n' "$target" | sed 's/.*"health":"\([a-z]*\)".*/\1/')
  error=$(printf '%s\n' "$target" | sed 's/.*"lastError":"\(.*\)","lastScrape":.*/\1/')
  scraped=$(printf '%s\n' "$target" | sed 's/.*"lastScrape":"\([^"]*\)".*/\1/')
  if [ "$health" = unknown ] || ! since_the_change "$scraped"; then
    echo "it has not scraped it since${error:+ ($error)}"
  elif [ "$health" = up ] || is_health "$error" "$1"; then
    echo up
  else
    echo "${error:-it calls it $health}"
  fi
}

since_the_change() { # TIME
  [ "$(printf '%s\n' "$changed_at" "$(utc_text "$1")" | sort | head -n 1)" = "$changed_at" ]
}

# A time in a form that sorts, to the nanosecond; nothing for what is none.
utc_text() { # TIME
  date -u -d "$1" +%Y-%m-%dT%H:%M:%S.%N 2>/dev/null || :
}

why_not_listed() {
  url="$URL/api/v1/targets?state=active"
  unit=$(cat "$STORE/scrape-job-$STACK/unit" 2>/dev/null || :)
  if ! printf '%s' "$list" | grep -q '"activeTargets":'; then
    answer=$(http_answer "$url" 6 | tr -d '\r' | sed -n '1p;s/.*"error":"\(.*\)"}.*/\1/p' | tail -n 1)
    echo "its list of targets is not to be had: ${answer:-no answer}"
  elif [ -n "$unit" ] && since_its_start "$unit" | grep -q 'Error adding file watch'; then
    echo "it does not know the target yet, and cannot watch its file, so that it looks every 10 s at best;" \
      "raise fs.inotify.max_user_watches and max_user_instances (sysctl), and restart $unit"
  else
    echo "it does not know the target yet; see: journalctl -u ${unit:-prometheus}"
  fi
}

# What a unit's journal has of the run that it is in.
since_its_start() { # UNIT
  journalctl -b -qo cat "_SYSTEMD_INVOCATION_ID=$(shows "$1" InvocationID)"
}

# A target that is down while its tunnel carries is health; the exporter's own part comes next. Prometheus saw its
# connection end without an answer, and of one of ours the far side says that nobody takes it there.
is_health() { # ERROR ITS LINE OF LISTED
  case $1 in *EOF | *"connection reset by peer") ;; *) return 1 ;; esac
  place=${2##*\"http://}
  refused_before=$(refusals)
  [ -z "$(http_answer "http://${place%\"}" 6)" ] && [ "$(refusals)" -gt "$refused_before" ]
}

refusals() {
  journalctl -b -qo cat "_PID=$(shows "metrics-tunnel-$HOST.service" MainPID)" |
    grep -c '^channel [0-9]*: open failed: connect failed: Connection refused' || :
}

record() { manifest $F; }

places() {
  paths
  echo "$F"
}

restore() {
  paths
  # The folder is the job's: Prometheus watches it.
  away $F
}
