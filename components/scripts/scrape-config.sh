#!/bin/sh
# On a server: a host's target file. Waits until Prometheus reports the target up.
# Values: HOST, TARGETS (JSON), QUERIES (URL-encoded up{...} ...), WAIT (seconds).

# The scrape job, which comes before, has found Prometheus already.
preflight() { paths; }

paths() { F=/etc/metrics-tunnel/targets/$STACK/$HOST.json; }

change() {
  URL=$(cat $STORE/scrape-job-$STACK/url)
  mkdir -p ${F%/*}
  put $F "$TARGETS"
}

prove() {
  flock -u 9
  for Q in $QUERIES; do
    poll $WAIT up || fail "Prometheus does not report $HOST up in $WAIT s; see: $URL/targets"
  done
}

# A target that is down while its tunnel carries is health; the exporter's own part comes next.
up() {
  case $(http_get "$URL/api/v1/query?query=$Q") in
  *',"1"]'*) ;;
  *',"0"]'*) journalctl -qo cat -u metrics-tunnel-$HOST --since -10s | grep -q 'connect failed: Connection refused' ;;
  *) false ;;
  esac
}

record() { manifest $F; }

restore() {
  paths
  # The folder is the job's: Prometheus watches it.
  rm -f $F
}

present() {
  paths
  [ -e $F ]
}

check() { :; }
