#!/bin/sh
# On a host: an exporter on loopback alone, by a drop-in that drops the listen flags of its unit's own command.
# Values: NAME, PORT, METRICS (path), SERVICE (unit, or empty: found by the listener), WRAPPER (sh text for ExecStart).

# Sets U, the exporter's unit, and DROPIN, ours for it.
find_exporter() {
  U=$SERVICE
  for D in /etc/systemd/system/*.service.d/zz-metrics-tunnel-"$NAME".conf; do
    [ -n "$U" ] || [ ! -e "$D" ] || U=$(basename "${D%/*}" .d)
  done
  if [ -z "$U" ]; then
    W=$(listeners)
    P=$(echo "$W" | grep -o 'pid=[0-9]*' | head -n 1 | cut -d= -f2)
    [ -n "$P" ] || refuse "nothing listens on port $PORT; install or start the exporter, or give its unit"
    case $W in *docker-proxy* | *rootlessport*) refuse "port $PORT is published by a container; bind it to 127.0.0.1 there; containers are not served" ;; esac
    [ "$P" != 1 ] || refuse "port $PORT is opened by a systemd socket; set ListenStream=127.0.0.1:$PORT there; sockets are not served"
    ! grep -q 'docker\|libpod\|containerd\|lxc' "/proc/$P/cgroup" || refuse "port $PORT is an exporter in a container; bind it to 127.0.0.1 there; containers are not served"
    U=$(unit_of "$P")
    [ -n "$U" ] || refuse "the process on port $PORT (pid $P) is no systemd service; run it as one"
  fi
  DROPIN=/etc/systemd/system/$U.d/zz-metrics-tunnel-$NAME.conf
}

listeners() { ss -Hltnp "sport = :$PORT"; }

# The unit's own command line, as its files say without our drop-in.
own_command() {
  systemctl cat -- "$U" 2>/dev/null | sed -e ':a' -e '/\\$/{N;s/\\\n[[:space:]]*/ /;ba;}' |
    awk -v ours="# $DROPIN" '/^# \//{skip=($0==ours)} !skip && /^ExecStart[ \t]*=/{sub(/^[^=]*=[ \t]*/,"");c=$0} END{print c}'
}

preflight() {
  find_exporter
  case $(shows "$U" LoadState) in loaded) ;; *) refuse "unit $U is $(shows "$U" LoadState); give the exporter's unit" ;; esac
  C=$(own_command)
  case $C in
  '') refuse "unit $U has no ExecStart" ;;
  [@:]* | [-+!][@:]*) refuse "unit $U has an ExecStart with the prefix '${C%%[!@:+!-]*}', which is not served" ;;
  *systemd-socket*) refuse "unit $U takes its socket from systemd; sockets are not served" ;;
  esac
}

change() {
  X=${C%%[!+!-]*}
  mkdir -p -m 755 "${DROPIN%/*}"
  CHANGED=
  put "$DROPIN" 644 "# Managed by metrics-tunnel, stack $STACK: loopback alone, whatever the unit or its environment says.
[Service]
ExecStart=
ExecStart=$X/bin/sh -c '$WRAPPER' metrics-tunnel ${C#"$X"}"
  systemctl daemon-reload
  [ -z "$CHANGED" ] && [ -n "$(listeners)" ] && loopback_alone || systemctl restart "$U" || fail "$U does not start on loopback; see: journalctl -u $U"
}

prove() {
  poll 15 answers || fail "exporter did not come back on 127.0.0.1:$PORT; see: journalctl -u $U"
  loopback_alone || fail "exporter listens beyond loopback: $(wide)"
}

answers() { http_get "http://127.0.0.1:$PORT$METRICS" | grep -q .; }

wide() { listeners | awk '{print $4}' | grep -v -e '^127\.' -e '^\[::1\]' || :; }

loopback_alone() { [ -z "$(wide)" ]; }

# Listen flags that the unit's environment files ask for; the drop-in overrules them.
asked() {
  systemctl cat -- "$U" 2>/dev/null | sed -n 's/^EnvironmentFile=-*//p' | while read -r F; do
    grep -H -o -e '--*web.listen-address[= ][^" ]*' "$F" 2>/dev/null || :
  done
}

record() {
  keep asked "$(asked)"
  keep command "$C"
  manifest "$DROPIN"
}

undo() {
  rmdir "${DROPIN%/*}" 2>/dev/null
  systemctl daemon-reload
  systemctl restart "$U"
}

restore() {
  for DROPIN in /etc/systemd/system/*.service.d/zz-metrics-tunnel-"$NAME".conf; do
    [ -e "$DROPIN" ] || continue
    U=$(basename "${DROPIN%/*}" .d)
    rm "$DROPIN"
    rmdir "${DROPIN%/*}" 2>/dev/null || :
    systemctl daemon-reload
    systemctl try-restart "$U" || fail "$U does not start with its own settings; see: journalctl -u $U"
    [ "$(shows "$U" ActiveState)" != active ] || poll 15 answers || :
  done
}

present() {
  for D in /etc/systemd/system/*.service.d/zz-metrics-tunnel-"$NAME".conf; do [ ! -e "$D" ] || return 0; done
  return 1
}

check() {
  (find_exporter) 2>/dev/null || {
    echo "the exporter is gone"
    return
  }
  find_exporter
  case $(shows "$U" ActiveState) in inactive | failed | deactivating) echo "exporter $U is stopped" ;; esac
  W=$(wide | tr '\n' ' ')
  [ -z "$W" ] || echo "exporter listens on $W"
  [ "$(own_command)" = "$(kept command)" ] || echo "the command of $U was changed"
  W=$(asked)
  [ -z "$W" ] || [ "$W" = "$(kept asked)" ] || echo "environment asks for another listener ($W); it is overruled"
}
