#!/bin/sh
# On a server: a host's target file. Waits until Prometheus reports the target up.
# Values: FILE, TARGETS (JSON), QUERIES (URL-encoded up{...} ...), WAIT (seconds), TUNNEL (unit), SERVICE, CONFIG, URL.

preflight() { find_prometheus; }

change() {
  mkdir -p -m 755 /etc/metrics-tunnel "${FILE%/*/*}" "${FILE%/*}"
  put "$FILE" 644 "$TARGETS"
}

prove() {
  for Q in $QUERIES; do
    poll "$WAIT" up "$Q" || fail "Prometheus does not report $MACHINE up within $WAIT s; see: $URL/targets"
  done
}

# A target that is down while its tunnel carries is health; the exporter's own part comes next.
up() { # QUERY
  V=$(http_get "$URL/api/v1/query?query=$1" | sed -n 's/.*"value":\[[^,]*,"\([01]\)".*/\1/p')
  [ "$V" = 1 ] || { [ "$V" = 0 ] && journalctl -q -o cat -u "$TUNNEL" --since -10s | grep -q 'connect failed: Connection refused'; }
}

record() { manifest "$FILE"; }

undo() { :; }

restore() {
  rm -f "$FILE"
  rmdir "${FILE%/*}" "${FILE%/*/*}" /etc/metrics-tunnel 2>/dev/null || :
}

present() { [ -e "$FILE" ]; }

check() { :; }
