#!/bin/sh
# On a host: an exporter on loopback alone, by a drop-in that drops the listen flags of its unit's own command.
# Stacks that close the same port share the drop-in; the last to leave gives the exporter back.
# Values: PORT, METRICS (path), SERVICE (unit, or empty: found by the listener), WRAPPER (sh text for ExecStart).

# Sets U, the exporter's unit, and DROPIN, ours for it.
find_exporter() {
  U=$(closed)
  U=${SERVICE:-${U##*/}}
  if [ -z "$U" ]; then
    W=$(listeners)
    P=${W#*pid=}
    case $W in
    *docker-proxy*) ;;
    *pid=*) U=$(unit_of ${P%%,*}) ;;
    *) fail "nothing listens on port $PORT; start the exporter, or give its unit" ;;
    esac
    [ -n "$U" ] || foreign
  fi
  DROPIN=/etc/systemd/system/$U.d/zz-metrics-tunnel.conf
}

foreign() { fail "port $PORT is not a plain systemd service's but a container's or socket's; bind it to 127.0.0.1 there"; }

# The unit whose exporter our drop-in holds on this port.
closed() { grep -ls ":$PORT'" /etc/systemd/system/*.service.d/zz-metrics-tunnel.conf | sed 's/\.d\/[^/]*$//'; }

listeners() { ss -Hltnp "sport = :$PORT"; }

# The unit's own command line, as its files say without our drop-in.
own_command() {
  systemctl cat $U | awk '{while(sub(/\\$/," ")&&(getline l)>0)$0=$0 l}
/^# \//{s=/zz-metrics-tunnel.conf$/}!s&&sub(/^ExecStart[ \t]*=[ \t]*/,""){c=$0}END{print c}'
}

preflight() {
  find_exporter
  C=$(own_command)
  X=${C%%[!+!-]*}
  case ${C#"$X"} in
  '') fail "unit $U ($(shows $U LoadState)) has no ExecStart; give the exporter's unit" ;;
  [@:]*) fail "unit $U has an ExecStart with @ or :, which is not served" ;;
  *systemd-socket*) foreign ;;
  esac
}

change() {
  mkdir -p ${DROPIN%/*}
  CHANGED=
  put $DROPIN "# Managed by metrics-tunnel: loopback alone.
[Service]
ExecStart=
ExecStart=$X/bin/sh -c '$WRAPPER' metrics-tunnel ${C#"$X"}"
  systemctl daemon-reload
  [ -z "$CHANGED$(wide)" ] && [ -n "$(listeners)" ] || systemctl restart $U || fail "$U does not start; see: journalctl -u $U"
}

prove() {
  flock -u 9
  poll 15 answers || fail "exporter did not come back on 127.0.0.1:$PORT; see: journalctl -u $U"
  [ -z "$(wide)" ] || fail "exporter listens beyond loopback: $(wide); give its unit"
}

answers() { http_get http://127.0.0.1:$PORT$METRICS | grep -q '[a-z]'; }

wide() { listeners | awk '$4!~/^(127\.|\[::1\])/{print $4}'; }

# Listen flags that the unit's environment files ask for; the drop-in overrules them.
asked() {
  systemctl cat $U | sed -n 's/^EnvironmentFile=-*//p' | while read -r F; do
    grep -Ho -e '--*web.listen-address[= ][^" ]*' $F 2>/dev/null || :
  done
}

record() {
  keep asked "$(asked)"
  keep command "$C"
  manifest $DROPIN
}

undo() {
  rmdir ${DROPIN%/*} 2>/dev/null
  systemctl daemon-reload
  systemctl restart $U
}

restore() {
  for U in $(closed); do
    rm $U.d/zz-metrics-tunnel.conf
    rmdir $U.d 2>/dev/null || :
    U=${U##*/}
    systemctl daemon-reload
    systemctl try-restart $U || fail "$U does not start with its own settings; see: journalctl -u $U"
  done
}

present() { [ -n "$(closed)" ]; }

check() {
  trap 'echo "the exporter is gone"' EXIT
  find_exporter
  trap - EXIT
  case $(shows $U ActiveState) in inactive | failed | deactivating) echo "exporter $U is stopped" ;; esac
  W=$(wide | tr '\n' ' ')
  [ -z "$W" ] || echo "exporter listens on $W"
  [ "$(own_command)" = "$(kept command)" ] || echo "the command of $U was changed"
  W=$(asked)
  [ -z "$W" ] || [ "$W" = "$(kept asked)" ] || echo "environment asks for another listener ($W); it is overruled"
}
