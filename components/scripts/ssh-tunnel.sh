#!/bin/sh
# On a server: the hardened unit that carries a host's scrapes. Proves itself by a real scrape.
# Values: HOST, HOST_KEY (type and key), UNIT_FILE (text, without the host key and its sandbox), LISTENS (address:port/path ...).

paths() {
  UNIT=metrics-tunnel-$HOST.service
  J="journalctl -u $UNIT"
  D=/etc/systemd/system
  F=$D/$UNIT
  H=/etc/metrics-tunnel/known_hosts/$HOST
}

preflight() {
  paths
  [ ! -s $F ] || grep -q "stack $STACK;" $F || held_by_this_stack || fail "$F is another stack's; rename the host"
  P=$(shows $UNIT MainPID)
  for L in $LISTENS; do
    L=${L%%/*}
    # A wildcard listener owns the port on every loopback address.
    W=$(ss -Hltnp "sport = :${L##*:}" | awk -v a=$L '!/pid='$P',/&&($4==a||$4~/^(\*|0.0.0.0|\[::]):/)')
    [ -n "$W" ] || continue
    A=${W#*pid=}
    case $(unit_of "${A%%,*}") in metrics-tunnel-*) fail "$L is another host's; take that one out first, or give another listen" ;; esac
    W=${W#*\"}
    fail "$L is used by ${W%%\"*}; give another listen"
  done
  note_unit logged_in
}

# ssh opens the forwards' ports here once it has logged in, all of them or none.
logged_in() { ss -Hltnp | grep -q "pid=$(shows "$UNIT" MainPID),"; }

change() {
  CHANGED=
  mkdir -p ${H%/*}
  put $H "$HOST $HOST_KEY"
  put $F "$UNIT_FILE
LoadCredential=known_hosts:$H
$(sandbox /usr/bin/ssh)"
  run_unit
}

# A target that is down is health: the far side let the forward through and nobody answered it there.
prove() {
  flock -u 9
  for L in $LISTENS; do
    poll 20 carries || fail "no scrape through $L: $($J -qo cat -n 1 --since @$START _TRANSPORT=stdout | grep . || echo no metrics there without a password); see: $J"
  done
}

carries() { http_get http://$L | grep -q '[a-z]' || $J -qo cat --since @$START | grep -q 'failed: Connection refused'; }

record() { manifest $F $H; }

places() {
  paths
  echo "$F" "$H"
}

undo() { undo_unit logged_in; }

restore() {
  paths
  drop_unit $H
  rmdir -p ${H%/*} 2>/dev/null || :
}

present() {
  paths
  [ -e $F ]
}

check() {
  paths
  unit_drift
}
