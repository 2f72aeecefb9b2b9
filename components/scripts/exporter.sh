#!/bin/sh
# On a host: an exporter on loopback alone, by a drop-in that drops the listen flags of its unit's own command.
# Stacks that close the same port share the drop-in; the last to leave gives the exporter back.
# Values: PORT, METRICS (path), SERVICE (unit, or empty: found by the listener), WRAPPER (sh text for ExecStart).

shared() { true; }

# Sets U, the exporter's unit, and DROPIN, ours for it.
find_exporter() {
  W=$(listeners)
  P=${W#*pid=}
  N=
  case $W in
  *docker-proxy*) foreign ;;
  *pid=*) N=$(unit_of ${P%%,*}) ;;
  esac
  U=${SERVICE:-$(closed)}
  if [ -z "$U" ]; then
    [ -n "$W" ] || fail "nothing listens on port $PORT; start the exporter, or give its port"
    [ -n "$N" ] || foreign
    U=$N
  fi
  case $N in '' | "$U") ;; *) fail "port $PORT is $N's; give that unit" ;; esac
  DROPIN=/etc/systemd/system/$U.d/zz-metrics-tunnel.conf
}

foreign() { fail "port $PORT is a container's or socket's, no service's; bind it to 127.0.0.1 there"; }

# The unit that our drop-in for this port is for, by the receipt, however the drop-in looks now, or by its text.
closed() {
  D=/etc/systemd/system
  {
    find $D/$(kept unit).d/zz-metrics-tunnel.conf 2>/dev/null || :
    grep -ls ":$PORT'" $D/*.service.d/zz-metrics-tunnel.conf*
  } | sed 's/\.d\/[^/]*$//;s/.*\///' | sort -u
}

listeners() { ss -Hltnp "sport = :$PORT"; }

# The unit's own command line, as the text of its files says without our drop-in.
own_command() {
  awk '{while(sub(/\\$/," ")){do r=getline l;while(r>0&&l~/^[ \t]*[#;]/);if(r<1)break;$0=$0 l}}
/^# \//{s=/zz-metrics-tunnel.conf$/}!s&&sub(/^ExecStart[ \t]*=[ \t]*/,""){c=$0}END{print c}'
}

preflight() {
  find_exporter
  C=$(systemctl cat $U | own_command)
  X=${C%%[!+!-]*}
  case ${C#"$X"} in
  '') fail "unit $U ($(shows $U LoadState)) has no ExecStart; unmask it, or give the exporter's unit" ;;
  [@:]*) fail "unit $U has an ExecStart with @ or :, which is not served" ;;
  *systemd-socket*) foreign ;;
  esac
}

change() {
  # First what tells a removal of the folder, should nothing come into it.
  keep unit $U
  mkdir -p ${DROPIN%/*}
  CHANGED=
  put $DROPIN "# Managed by metrics-tunnel: loopback alone.
[Service]
ExecStart=
ExecStart=$X/bin/sh -c '$WRAPPER' metrics-tunnel ${C#"$X"}"
  systemctl daemon-reload
  [ -z "$CHANGED$(wide)" ] && [ -n "$(listeners)" ] || systemctl restart $U || fail "$U does not start; see: journalctl -u $U"
}

# Within the lock: another stack may close the same port.
prove() {
  poll 15 answers ||
    fail "exporter did not come back on 127.0.0.1:$PORT, which $answer; see: journalctl -u $U"
  W=$(wide)
  [ -z "$W" ] || fail "exporter still listens on $W; see what overrides ours: systemctl cat $U"
}

answers() { metrics_from "http://127.0.0.1:$PORT$METRICS" 6; }

wide() { listeners | awk '$4!~/^(127\.|\[::1\])/{print $4}'; }

# Listen flags that the unit's environment files ask for; the drop-in overrules them.
asked() {
  sed -n 's/^EnvironmentFile=-*//p' | while read -r F; do
    grep -Ho -e '--*web.listen-address[= ][^" ]*' $F 2>/dev/null || :
  done
}

record() {
  keep asked "$(systemctl cat $U | asked)"
  keep command "$C"
  manifest $DROPIN
}

undo() {
  rmdir ${DROPIN%/*} 2>/dev/null
  systemctl daemon-reload
  systemctl restart $U
}

# Where an earlier run took the drop-in away and came no further, the unit of the receipt still has to be told.
restore() {
  for U in $({ kept unit && closed; } | sort -u); do
    D=/etc/systemd/system/$U.d
    away $D/zz-metrics-tunnel.conf
    rmdir $D 2>/dev/null || :
    systemctl daemon-reload
    [ "$(shows $U LoadState)" = not-found ] || systemctl try-restart $U || fail "$U does not start; see: journalctl -u $U"
  done
}

present() { [ -n "$(closed)" ]; }

check() {
  U=$(kept unit)
  systemctl show -p LoadState -p ActiveState $U | while read -r W; do
    case $W in
    LoadState=not-found) echo "$U is gone" ;;
    ActiveState=inactive | ActiveState=failed | ActiveState=deactivating) echo "exporter $U is stopped" ;;
    esac
  done
  W=$(wide | tr '\n' ' ')
  [ -z "$W" ] || echo "exporter listens on ${W% }"
  P=$(systemctl cat $U 2>/dev/null || :)
  [ "$(printf '%s\n' "$P" | own_command)" = "$(kept command)" ] || echo "the command of $U was changed"
  W=$(printf '%s\n' "$P" | asked)
  [ -z "$W" ] || [ "$W" = "$(kept asked)" ] || echo "environment asks for another listener ($W); it is overruled"
}
