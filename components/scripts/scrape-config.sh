#!/bin/sh
# On a server: a host's target file. Waits until Prometheus reports all of its targets up.
#
# Values: HOST, TARGETS (the file, JSON), LISTED (a line a target: how Prometheus' API tells of it),
#         WAIT (seconds).
# Uses: core receipt files process http metrics-answer.awk

# The scrape job, which comes before, has found Prometheus already.
preflight() { :; }

# Sets: api_url (of Prometheus), changed_at (when the file got another text, as utc_text has it; 0
#       where it has not)
change() {
  api_url=$(cat "$STORE/scrape-job-$STACK/url")
  mkdir -p "/etc/metrics-tunnel/targets/$STACK"
  text_changed=
  put "$(target_file)" "$TARGETS"
  # What Prometheus saw before a change proves nothing of it, were it half a second.
  changed_at=0
  [ -z "$text_changed" ] || changed_at=$(utc_text now)
}

target_file() { echo "/etc/metrics-tunnel/targets/$STACK/$HOST.json"; }

record() { manifest "$(target_file)"; }

places() { target_file; }

# The folder is the job's: Prometheus watches it.
restore() { away "$(target_file)"; }

# --- The proof: Prometheus' own list of targets, which there is in agent mode too.

# Sets: deadline (in seconds)
prove() {
  flock -u 9
  deadline=$(($(date +%s) + WAIT))
  poll "$WAIT" all_up ||
    fail "Prometheus does not report $HOST up in $WAIT s; see the targets on $api_url: $reason"
}

# Whether Prometheus has scraped every target of the file since that was written. A slow answer must
# not make the wait longer than WAIT.
# Sets: reason (why not), hopeless (for poll)
all_up() {
  [ "$(date +%s)" -lt "$deadline" ] || hopeless=1
  list=$(list_of_targets)
  verdicts=$(printf '%s\n' "$LISTED" | as_letters | while IFS= read -r its_line; do
    verdict "$its_line" "$list"
  done)
  reason=$(printf '%s\n' "$verdicts" | grep -vx up | head -n 1)
  # Each of them has to say so: what says nothing is not up.
  [ "$verdicts" = "$(printf '%s\n' "$LISTED" | sed 's/.*/up/')" ]
}

# The list of targets as Prometheus gives it, each target on a line of its own.
list_of_targets() {
  http_get "$(targets_url)" | sed 's/{"discoveredLabels":/\n&/g' | as_letters
}

targets_url() { echo "$api_url/api/v1/targets?state=active"; }

# Prometheus before 2.53 or so writes three letters as numbers, a later one does not.
as_letters() { sed 's/\\u003c/</g;s/\\u003e/>/g;s/\\u0026/\&/g'; }

# Prints "up", or what keeps a target from being up.
verdict() { # ITS-LINE-OF-LISTED LIST
  target=$(printf '%s\n' "$2" | grep -F "\"__meta_filepath\":\"$(target_file)\"" |
    grep -F -e "$1" || :)
  if [ -z "$target" ]; then
    why_not_listed "$2"
    return
  fi
  # Of a text within a value each quotation mark has a backslash before it.
  health=$(printf '%s\n' "$target" | sed 's/.*"health":"\([a-z]*\)".*/\1/')
  error=$(printf '%s\n' "$target" | sed 's/.*"lastError":"\(.*\)","lastScrape":.*/\1/')
  scraped_at=$(printf '%s\n' "$target" | sed 's/.*"lastScrape":"\([^"]*\)".*/\1/')
  if [ "$health" = unknown ] || ! since_the_change "$scraped_at"; then
    echo "it has not scraped it since${error:+ ($error)}"
  elif [ "$health" = up ] || is_health "$error" "$1"; then
    echo up
  else
    echo "${error:-it calls it $health}"
  fi
}

since_the_change() { # TIME
  first=$(printf '%s\n' "$changed_at" "$(utc_text "$1")" | sort | head -n 1)
  [ "$first" = "$changed_at" ]
}

# A time in a form that sorts, to the nanosecond; nothing for what is none.
utc_text() { # TIME
  date -u -d "$1" +%Y-%m-%dT%H:%M:%S.%N 2>/dev/null || :
}

why_not_listed() { # LIST
  prometheus_unit=$(cat "$STORE/scrape-job-$STACK/unit" 2>/dev/null || :)
  if ! printf '%s' "$1" | grep -q '"activeTargets":'; then
    said_instead=$(what_is_no_list)
    echo "its list of targets is not to be had: ${said_instead:-no answer}"
  elif [ -n "$prometheus_unit" ] &&
    since_its_start "$prometheus_unit" | grep -q 'Error adding file watch'; then
    echo "it does not know the target yet, and cannot watch its file," \
      "so that it looks every 10 s at best; raise fs.inotify.max_user_watches" \
      "and max_user_instances (sysctl), and restart $prometheus_unit"
  else
    echo "it does not know the target yet; see: journalctl -u ${prometheus_unit:-prometheus}"
  fi
}

# The reason that Prometheus gives in place of a list, or the first line of whoever answers there.
what_is_no_list() {
  http_answer "$(targets_url)" 6 | tr -d '\r' |
    sed -n '1p;s/.*"error":"\(.*\)"}.*/\1/p' | tail -n 1
}

# What a unit's journal has of the run that it is in.
since_its_start() { # UNIT
  journalctl -b -qo cat "_SYSTEMD_INVOCATION_ID=$(shows "$1" InvocationID)"
}

# A target that is down while its tunnel carries is health; the exporter's own part comes next.
# Prometheus saw its connection end without an answer, and of one of ours the far side says that
# nobody takes it there.
is_health() { # ERROR ITS-LINE-OF-LISTED
  case $1 in
  *EOF | *"connection reset by peer") ;;
  *) return 1 ;;
  esac
  place=${2##*\"http://}
  refused_before=$(refusals)
  [ -z "$(http_answer "http://${place%\"}" 6)" ] && [ "$(refusals)" -gt "$refused_before" ]
}

# How many connections the far side of the host's tunnel has refused, by the words of ssh.
refusals() {
  journalctl -b -qo cat "_PID=$(shows "metrics-tunnel-$HOST.service" MainPID)" |
    grep -c '^channel [0-9]*: open failed: connect failed: Connection refused' || :
}
