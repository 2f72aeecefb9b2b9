#!/bin/sh
# On a server: a host's target file. Waits until Prometheus reports the target up.
# Values: HOST, TARGETS (JSON), QUERIES (URL-encoded up{...}[5m] ...), WAIT (seconds).

# The scrape job, which comes before, has found Prometheus already.
preflight() { paths; }

paths() { F=/etc/metrics-tunnel/targets/$STACK/$HOST.json; }

change() {
  URL=$(cat $STORE/scrape-job-$STACK/url)
  mkdir -p ${F%/*}
  CHANGED=
  put $F "$TARGETS"
  # What Prometheus saw before a change proves nothing of it.
  START=0
  [ -z "$CHANGED" ] || START=$(date +%s)
}

prove() {
  flock -u 9
  for Q in $QUERIES; do
    poll $WAIT up || fail "Prometheus does not report $HOST up in $WAIT s; see the targets on $URL: $(last_error)"
  done
}

# What Prometheus says of the scrapes of this file's targets, escaped as in JSON.
last_error() { http_get "$URL/api/v1/targets?state=active" | sed 's/{"disc/\n&/g' | grep "$F" | sed 's/.*"lastError":"\(.*\)","lastScrape":.*/\1/' | grep . | tail -n 1; }

# Whether the newest sample, "time,value" of all that the labels were, is of after START and says 1. A target that is down
# while its tunnel carries is health; the exporter's own part comes next.
up() {
  W=$(http_get "$URL/api/v1/query?query=$Q" | grep -o '\[[0-9.]*,"[01]"\]' | tr -d '[]"' | sort -n | tail -n 1)
  T=${W%%[.,]*}
  [ "${T:-0}" -ge "$START" ] || return
  case $W in
  *,1) ;;
  *,0) journalctl -qo cat -u metrics-tunnel-$HOST --since -10s | grep -q 'connect failed: Connection refused' ;;
  *) false ;;
  esac
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

present() {
  paths
  [ -e $F ]
}

check() { :; }
