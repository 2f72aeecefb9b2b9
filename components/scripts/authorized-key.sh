#!/bin/sh
# On a host: the tunnel user, its restricted key line, and sshd's limits for it. The key lines of all servers and stacks
# share user, file and drop-in; the last line takes them along.
# Values: ID (the line's comment), LINE (the whole line).

paths() {
  LOGIN=metrics-tunnel
  KEYS=/etc/ssh/authorized_keys.d/$LOGIN
  CONF=/etc/ssh/sshd_config.d/10-metrics-tunnel.conf
  GECOS='Prometheus tunnels'
}

preflight() {
  paths
  case $(getent passwd $LOGIN) in '' | *"$GECOS"*) ;; *) fail "user $LOGIN is there and not ours; rename it" ;; esac
  [ ! -s $CONF ] || [ -d $RECEIPT ] || grep -q metrics-tunnel $CONF || fail "$CONF is not ours; move it away"
  listened "$(kept line && cat $KEYS 2>/dev/null)"
  test_sshd
  P=$(effective || :)
  ! W=$(echo "$P" | grep -x 'disableforwarding yes\|pubkeyauthentication no') || fail "sshd has '$W'; take that out"
  W=$(echo "$P" | keeps_out)
  [ -z "$W" ] || fail "sshd keeps user $LOGIN out by $W; mend that"
}

change() {
  NEW=
  if getent passwd $LOGIN >/dev/null; then
    W="$(getent passwd $LOGIN | cut -d: -f6,7) $(getent shadow $LOGIN | cut -d: -f2) $(id -Gn $LOGIN)"
    [ "$W" = "/nonexistent:/usr/sbin/nologin * $LOGIN" ] || usermod -s /usr/sbin/nologin -d /nonexistent -p '*' -G '' $LOGIN
  else
    NEW=1
    useradd -r -M -s /usr/sbin/nologin -d /nonexistent -p '*' -c "$GECOS" $LOGIN
  fi
  mkdir -p ${KEYS%/*}
  put $KEYS "$(
    others
    echo "$LINE"
  )"
  put $CONF "$(dropin)"
  reload_sshd
  W=$(effective | disobeyed)
  [ -z "$W" ] || fail "sshd does not obey $CONF in: $W$(culprit)"
  W=$(kept line)
  case ${W#* } in '' | "${LINE#* }") ;; *) end_sessions '' "${W#* }" ;; esac
}

# The key file's other lines. A line with our key and no name of ours is none: it would lift the limits.
others() {
  W=${LINE% *}
  awk -v i=$ID -v k="${W##* }" '$NF!=i&&(!index($0,k)||/^restrict,.* metrics-tunnel-[^ ]*$/)' $KEYS 2>/dev/null || :
}

# sshd's limits for all lines there are.
dropin() {
  set -- $(grep -o '127\.0\.0\.1:[0-9]*' $KEYS | sort -u)
  echo "# Managed by metrics-tunnel.
Match User metrics-tunnel
AuthorizedKeysFile /etc/ssh/authorized_keys.d/%u
AuthenticationMethods publickey
AllowTcpForwarding local
AllowStreamLocalForwarding no
PermitOpen ${*:-none}
PermitListen none
GatewayPorts no
MaxSessions 0
ForceCommand /bin/false
PermitTTY no
PermitTunnel no
PermitUserRC no
X11Forwarding no
AllowAgentForwarding no
PasswordAuthentication no
KbdInteractiveAuthentication no
ClientAliveInterval 15
ClientAliveCountMax 3
Match all"
}

test_sshd() { W=$(sshd -t 2>&1) || fail "sshd's configuration is invalid, mend it: $W"; }

reload_sshd() {
  test_sshd
  # One that got its socket from systemd cannot open it again: it is restarted, which ends no session.
  R=reload
  ! systemctl is-active -q ssh.socket || R=restart
  for U in ssh sshd; do ! systemctl is-active -q $U || systemctl $R $U; done
}

# The lists of sshd that do not let our user in, whose group has the same name.
keeps_out() {
  while read -r K W; do
    case $K,$LOGIN in
    allow[ug]*s,${W%@*}) echo $K yes ;;
    allow[ug]*s,* | deny[ug]*s,${W%@*}) echo $K no ;;
    esac
  done | awk '{n[$1]++}$2=="yes"{y[$1]++}END{for(k in n)if(!y[k])print k}'
}

# The lines of the drop-in that sshd would not use.
disobeyed() { grep -vixFf - $CONF | grep -v '^#\|^Match' | tr '\n' ,; }

record() { keep line "$LINE"; }

undo() {
  [ -z "${NEW-}" ] || userdel $LOGIN
  rmdir ${KEYS%/*} 2>/dev/null
  (reload_sshd)
}

restore() {
  paths
  W=$(others)
  if echo "$W" | grep -q '^ *[^ #]'; then
    put $KEYS "$W"
    put $CONF "$(dropin)"
    reload_sshd
    end_sessions '' "${LINE#* }"
    return
  fi
  away $CONF $KEYS
  rmdir ${KEYS%/*} 2>/dev/null || :
  reload_sshd
  case $(getent passwd $LOGIN) in *"$GECOS"*)
    end_sessions '*' ''
    poll 5 "userdel $LOGIN" || fail "cannot delete user $LOGIN; see: loginctl"
    ;;
  esac
}

places() {
  paths
  echo "$KEYS" "$CONF"
}

present() {
  paths
  grep -qs " $ID\$" $KEYS
}

check() {
  paths
  W=$(kept line)
  LINE=$W
  W=${W% *}
  [ "$(grep -sF "${W##* }" $KEYS | grep -v "^restrict,.* metrics-tunnel-[^ ]*\$" || :)$(grep -s " $ID\$" $KEYS)" = "$LINE" ] ||
    echo "the key's line in $KEYS is missing, changed or not alone"
  [ ! -f $KEYS ] || [ "$(stat -c '%a %U' $KEYS)" = '644 root' ] || echo "$KEYS has mode and owner $(stat -c '%a %U' $KEYS) instead of 644 root"
  if W=$(getent passwd $LOGIN); then
    [ "$(echo "$W" | cut -d: -f6,7)" = "/nonexistent:/usr/sbin/nologin" ] || echo "user $LOGIN has another shell or home: $(echo "$W" | cut -d: -f6,7)"
    [ "$(getent shadow $LOGIN | cut -d: -f2)" = '*' ] || echo "user $LOGIN has a password or is locked"
    W=$(id -Gn $LOGIN | tr ' ' '\n' | grep -vx $LOGIN | tr '\n' ' ')
    [ -z "$W" ] || echo "user $LOGIN is in the groups ${W% }"
  else
    echo "user $LOGIN is missing"
  fi
  [ -f $CONF ] && dropin | cmp -s - $CONF || echo "$CONF is missing or was edited"
  P=$(effective || :)
  W=$(echo "$P" | keeps_out)
  [ -z "$W" ] || echo "sshd keeps user $LOGIN out by $W"
  W=$(echo "$P" | disobeyed 2>/dev/null)
  [ -z "$W" ] || echo "sshd does not obey $CONF in: $W$(culprit)"
}

# The first file with a Match block is ours, or in the way.
culprit() {
  F=$(grep -il '^[[:space:]]*match' /etc/ssh/sshd_config.d/*.conf | head -n 1)
  case $F in
  '' | "$CONF") echo " add to the top of /etc/ssh/sshd_config: Include /etc/ssh/sshd_config.d/*.conf" ;;
  *) echo " overridden by $F, which comes first; remove its Match block" ;;
  esac
}
