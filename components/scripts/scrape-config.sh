#!/bin/sh
# On a server: a host's target file. Waits until Prometheus reports all of its targets up.
#
# Values: HOST, TARGETS (the file, JSON), LISTED (a line a target: how Prometheus' API tells of it),
#         WAIT (seconds).
# Uses: core receipt files process http metrics-answer.awk targets-answer.awk

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

# Sets: deadline (in seconds), wanted_targets (LISTED in letters), wanted_verdicts ("up" for each)
prove() {
  flock -u 9
  wanted_targets=$(printf '%s\n' "$LISTED" | as_letters)
  wanted_verdicts=$(printf '%s\n' "$LISTED" | sed 's/.*/up/')
  deadline=$(($(date +%s) + WAIT))
  # What has just been written Prometheus does not know yet, and each question is a dozen processes.
  [ "$changed_at" = 0 ] || sleep 1
  poll "$WAIT" all_up ||
    fail "Prometheus does not report $HOST up in $WAIT s; see the targets on $api_url: $reason"
}

# Whether Prometheus has scraped every target of the file since that was written. A slow answer must
# not make the wait longer than WAIT.
# Sets: reason (why not), hopeless (for poll)
all_up() {
  [ "$(date +%s)" -lt "$deadline" ] || hopeless=1
  verdicts=$(states_of_targets | while read -r health scraped_at place error; do
    verdict "$health" "$scraped_at" "$place" "$error"
  done)
  # Each of them has to say so: what says nothing is not up.
  [ "$verdicts" = "$wanted_verdicts" ] || {
    reason=$(printf '%s\n' "$verdicts" | grep -vx up | head -n 1)
    false
  }
}

# Prints what Prometheus' list says of each of wanted_targets; see targets-answer.awk.
states_of_targets() {
  http_get "$(targets_url)" | as_letters |
    TARGET_FILE=$(target_file) WANTED=$wanted_targets awk "$TARGETS_ANSWER_AWK"
}

# Of a server that scrapes much else only our job's targets are wanted. A Prometheus that is too old
# to know of that lists them all.
targets_url() { echo "$api_url/api/v1/targets?state=active&scrapePool=metrics-tunnel-$STACK"; }

# Prometheus before 2.53 or so writes three letters as numbers, a later one does not. Each target
# gets a line of its own.
as_letters() {
  sed 's/\\u003c/</g;s/\\u003e/>/g;s/\\u0026/\&/g;s/{"discoveredLabels":/\n&/g'
}

# Prints "up", or what keeps a target from being up.
verdict() { # HEALTH SCRAPED-AT PLACE ERROR, as targets-answer.awk prints them
  case $1 in
  no-list) echo "its list of targets is not to be had: $(what_is_no_list)" ;;
  unlisted) why_not_listed ;;
  *)
    if [ "$1" = unknown ] || ! since_the_change "$2"; then
      echo "it has not scraped it since${4:+ ($4)}"
    elif [ "$1" = up ] || is_health "$3" "$4"; then
      echo up
    else
      echo "${4:-it calls it $1}"
    fi
    ;;
  esac
}

since_the_change() { # TIME
  first=$(printf '%s\n' "$changed_at" "$(utc_text "$1")" | sort | head -n 1)
  [ "$first" = "$changed_at" ]
}

# A time in a form that sorts, to the nanosecond; nothing for what is none.
utc_text() { # TIME
  date -u -d "$1" +%Y-%m-%dT%H:%M:%S.%N 2>/dev/null || :
}

why_not_listed() {
  prometheus_unit=$(cat "$STORE/scrape-job-$STACK/unit" 2>/dev/null || :)
  if [ -n "$prometheus_unit" ] &&
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
  said_instead=$(http_answer "$(targets_url)" 6 | tr -d '\r' |
    sed -n '1p;s/.*"error":"\(.*\)"}.*/\1/p' | tail -n 1)
  echo "${said_instead:-no answer}"
}

# What a unit's journal has of the run that it is in.
since_its_start() { # UNIT
  journalctl -b -qo cat "_SYSTEMD_INVOCATION_ID=$(shows "$1" InvocationID)"
}

# A target that is down while its tunnel carries is health; the exporter's own part comes next.
# Prometheus saw its connection end without an answer, and of one of ours the far side says that
# nobody takes it there.
is_health() { # PLACE ERROR
  case $2 in
  *EOF | *"connection reset by peer") ;;
  *) return 1 ;;
  esac
  refused_before=$(refusals)
  [ -z "$(http_answer "http://$1" 6)" ] && [ "$(refusals)" -gt "$refused_before" ]
}

# How many connections the far side of the host's tunnel has refused, by the words of ssh.
refusals() {
  journalctl -b -qo cat "_PID=$(shows "metrics-tunnel-$HOST.service" MainPID)" |
    grep -c '^channel [0-9]*: open failed: connect failed: Connection refused' || :
}
