#!/bin/sh
# On a server: the hardened unit that carries a host's scrapes. Proves itself by a real scrape.
# Values: UNIT (name), UNIT_FILE (text), HOSTS (path), KNOWN_HOSTS (text), LISTENS (address:port/path ...).

preflight() {
  command -v ssh >/dev/null || refuse "no ssh client here; install the OpenSSH client"
  F=/etc/systemd/system/$UNIT
  [ ! -e "$F" ] || [ -L "$F" ] || grep -q "metrics-tunnel, stack $STACK" "$F" || refuse "$F is not from this stack; move it away"
  P=$(shows "$UNIT" MainPID)
  for L in $LISTENS; do
    A=${L%%/*}
    # A wildcard listener owns the port on every loopback address.
    W=$(ss -Hltnp "sport = :${A##*:}" | awk -v a="$A" -v p="pid=${P:-0}," -v w=":${A##*:}" \
      '($4 == a || $4 == "*" w || $4 == "0.0.0.0" w) && !index($0, p)')
    [ -z "$W" ] || refuse "$A is used by $(echo "$W" | grep -o 'users:.*' | cut -d'"' -f2 | head -n 1); give the host another listen"
  done
}

change() {
  CHANGED=
  getent passwd metrics-tunnel-ssh >/dev/null ||
    useradd --system --no-create-home --home-dir /nonexistent --shell "$(command -v nologin || echo /bin/false)" metrics-tunnel-ssh
  mkdir -p -m 755 /etc/metrics-tunnel /etc/metrics-tunnel/known_hosts
  [ ! -L "$F" ] || rm "$F" # masked
  put "$HOSTS" 644 "$KNOWN_HOSTS"
  put "$F" 644 "$UNIT_FILE"
  for D in "$F".d/*.conf; do
    [ -e "$D" ] || continue
    remember "$D"
    rm "$D"
    CHANGED=1
    say "removed $D, which overrode the unit"
  done
  rmdir "$F.d" 2>/dev/null || :
  systemctl daemon-reload
  systemctl -q enable "$UNIT" 2>/dev/null || fail "cannot enable $UNIT; see: systemctl status $UNIT"
  START=$(date +%s)
  if [ -n "$CHANGED" ] || [ "$(shows "$UNIT" ActiveState)" != active ]; then systemctl restart "$UNIT" || fail "$UNIT does not start; see: journalctl -u $UNIT"; fi
}

# A target that is down is health: the far side let the forward through and nobody answered it there.
prove() {
  for L in $LISTENS; do
    poll 20 carries "$L" || fail "no scrape through ${L%%/*}: $(journalctl -q -o cat -u "$UNIT" -n 30 | grep -v '^\(Start\|Stop\|metrics-\)' | tail -n 1); see: journalctl -u $UNIT"
  done
}

carries() { # LISTEN
  http_get "http://$1" | grep -q . || journalctl -q -o cat -u "$UNIT" --since "@$START" | grep -q 'connect failed: Connection refused'
}

record() { manifest "$F" "$HOSTS"; }

undo() {
  systemctl daemon-reload
  if [ -e "$F" ]; then systemctl restart "$UNIT"; else take_away; fi
}

take_away() {
  systemctl -q disable --now "$UNIT" 2>/dev/null || systemctl -q stop "$UNIT" 2>/dev/null || :
  rm -f "/etc/systemd/system/multi-user.target.wants/$UNIT" "/etc/systemd/system/$UNIT" "$HOSTS"
  systemctl daemon-reload
  systemctl reset-failed "$UNIT" 2>/dev/null || :
  rmdir /etc/metrics-tunnel/known_hosts /etc/metrics-tunnel 2>/dev/null || :
  for O in /etc/systemd/system/metrics-tunnel-*.service; do [ ! -e "$O" ] || return 0; done
  ! getent passwd metrics-tunnel-ssh >/dev/null || poll 5 userdel metrics-tunnel-ssh 2>/dev/null || :
}

restore() { take_away; }

present() { [ -e "/etc/systemd/system/$UNIT" ]; }

check() {
  unit_drift "$UNIT"
  W=$(shows "$UNIT" DropInPaths)
  [ -z "$W" ] || echo "$UNIT is overridden by $W"
}
