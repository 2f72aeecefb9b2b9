#!/bin/sh
# On a host: the tunnel user, its restricted key line, and sshd's limits for it.
# Values: ID (the line's comment), LINE (the whole line), DROPIN (sshd's, with @PORTS@), PORT (what the line may reach).

paths() {
  LOGIN=metrics-tunnel
  KEYS=/etc/ssh/authorized_keys.d/$LOGIN
  CONF=/etc/ssh/sshd_config.d/10-metrics-tunnel.conf
  GECOS='Prometheus tunnels (metrics-tunnel)'
}

preflight() {
  paths
  for T in sshd useradd usermod; do command -v $T >/dev/null || refuse "no $T here; install OpenSSH's server and passwd"; done
  ! W=$(getent passwd $LOGIN | cut -d: -f5) || [ -z "$W" ] || [ "$W" = "$GECOS" ] || refuse "user $LOGIN is there and not ours ($W); rename it"
  [ ! -e $CONF ] || grep -q metrics-tunnel $CONF || refuse "$CONF is not ours; move it away"
  sshd -t 2>/dev/null || refuse "sshd's configuration is invalid already; see: sshd -t"
  W=$(sshd -T -C user=$LOGIN,host=x,addr=127.0.0.1 2>/dev/null)
  for L in 'disableforwarding yes' 'pubkeyauthentication no'; do
    ! echo "$W" | grep -qx "$L" || refuse "sshd has '$L'; take that out of sshd_config (metrics-tunnel needs forwarding by key for its own user)"
  done
}

change() {
  NEW=
  if ! getent passwd $LOGIN >/dev/null; then
    NEW=1
    useradd --system --no-create-home --home-dir /nonexistent --shell "$(nologin_shell)" -c "$GECOS" $LOGIN || fail "useradd failed; see: getent passwd"
  fi
  [ "$(getent passwd $LOGIN | cut -d: -f6,7)" = "/nonexistent:$(nologin_shell)" ] || usermod -s "$(nologin_shell)" -d /nonexistent $LOGIN
  [ "$(getent shadow $LOGIN | cut -d: -f2)" = '*' ] || usermod -p '*' $LOGIN
  [ -z "$(extra_groups)" ] || usermod -G '' $LOGIN
  B=$(kept blob)
  mkdir -p -m 755 /etc/ssh/authorized_keys.d
  put $KEYS 644 "$(
    others "$(blob "$LINE")" "$B"
    echo "$LINE"
  )"
  put $CONF 644 "$(dropin)"
  sshd -t || fail "sshd refuses our drop-in; see: sshd -t"
  W=$(effective)
  [ -z "$W" ] || fail "sshd would not obey $CONF: $W; $(culprit)"
  reload_sshd
  [ -z "$B" ] || [ "$B" = "$(blob "$LINE")" ] || end_sessions "$B"
}

nologin_shell() { command -v nologin || echo /bin/false; }

extra_groups() { id -Gn $LOGIN 2>/dev/null | tr ' ' '\n' | grep -vx $LOGIN || :; }

blob() { echo "$1" | grep -o 'AAAA[A-Za-z0-9+/=]*' || :; }

# Every line of the key file that holds neither of these keys.
others() { # BLOB BLOB
  [ ! -f $KEYS ] || grep -vF -e "${1:-none}" -e "${2:-${1:-none}}" $KEYS || :
}

# sshd's limits for all lines there are.
dropin() {
  P=$(grep -o 'permitopen="[^"]*"' $KEYS | cut -d'"' -f2 | sort -u | tr '\n' ' ' | sed 's/ $//')
  echo "$DROPIN" | sed "s/@PORTS@/${P:-none}/"
}

# Prints the settings of the drop-in that sshd would not use.
effective() {
  W=$(sshd -T -C user=$LOGIN,host=x,addr=127.0.0.1 2>&1) || echo "sshd -T: $W"
  cat $CONF 2>/dev/null | while read -r K V; do
    case $K in '' | '#'* | Match) continue ;; esac
    echo "$W" | grep -qixF "$K $V" || printf '%s is not %s, ' "$K" "$V"
  done
}

culprit() {
  for F in /etc/ssh/sshd_config.d/*.conf; do
    [ "$F" != $CONF ] || break
    ! grep -qi '^[[:space:]]*match' "$F" || { echo "overridden by $F, which comes first; remove its Match block" && return; }
  done
  grep -qi '^[[:space:]]*include[[:space:]].*sshd_config\.d' /etc/ssh/sshd_config || echo "add to the top of /etc/ssh/sshd_config: Include /etc/ssh/sshd_config.d/*.conf"
}

reload_sshd() {
  for U in ssh sshd; do ! systemctl is-active -q $U || systemctl reload $U; done
}

# Ends the sessions of one key, known by the journal of the process that accepted it; without a word there, ends them too.
end_sessions() { # BLOB
  P=$(echo "ssh-ed25519 $1" | ssh-keygen -lf - | cut -d' ' -f2)
  I=$(id -u $LOGIN)
  for D in /proc/[0-9]*; do
    [ "$(stat -c %u "$D" 2>/dev/null)" = "$I" ] || continue
    M=$(sed -n 's/^PPid:[^0-9]*//p' "$D/status" 2>/dev/null) || continue # it ended meanwhile
    A=$(journalctl -q -o cat "_PID=$M" 2>/dev/null | grep '^Accepted publickey' | tail -n 1)
    case $A in '' | *"$P"*) kill "${D#/proc/}" 2>/dev/null || : ;; esac
  done
}

prove() { :; }

record() {
  keep blob "$(blob "$LINE")"
  keep line "$LINE"
}

undo() {
  [ -z "${NEW-}" ] || userdel $LOGIN 2>/dev/null
  rmdir /etc/ssh/authorized_keys.d 2>/dev/null
  ! sshd -t || reload_sshd
}

restore() {
  paths
  B=$(kept blob)
  UNDO=$(mktemp -d "$STORE/.undo.XXXXXX")
  W=$([ ! -f $KEYS ] || grep -v -e " $ID\$" $KEYS || :)
  if [ -n "$W" ]; then
    put $KEYS 644 "$W"
    put $CONF 644 "$(dropin)"
    sshd -t || fail "sshd refuses $CONF without our line; see: sshd -t"
    reload_sshd
    [ -z "$B" ] || end_sessions "$B"
    return
  fi
  rm -f $CONF $KEYS
  rmdir /etc/ssh/authorized_keys.d 2>/dev/null || :
  reload_sshd
  I=$(id -u $LOGIN 2>/dev/null) || return 0
  [ "$(getent passwd $LOGIN | cut -d: -f5)" = "$GECOS" ] || return 0
  for D in /proc/[0-9]*; do [ "$(stat -c %u "$D" 2>/dev/null)" != "$I" ] || kill "${D#/proc/}" 2>/dev/null || :; done
  poll 5 userdel $LOGIN 2>/dev/null || fail "cannot delete user $LOGIN; see: loginctl, ps -u $LOGIN"
}

present() {
  paths
  grep -qs " $ID\$" $KEYS
}

check() {
  paths
  [ "$(grep -sF "$(kept blob)" $KEYS)" = "$(kept line)" ] || echo "the key's line in $KEYS is missing, changed or not alone"
  [ ! -f $KEYS ] || [ "$(stat -c '%a %U' $KEYS)" = '644 root' ] || echo "$KEYS has mode and owner $(stat -c '%a %U' $KEYS) instead of 644 root"
  if W=$(getent passwd $LOGIN); then
    [ "$(echo "$W" | cut -d: -f6,7)" = "/nonexistent:$(nologin_shell)" ] || echo "user $LOGIN has the shell or home ${W##*:}"
    [ "$(getent shadow $LOGIN | cut -d: -f2)" = '*' ] || echo "user $LOGIN has a password or is locked"
    [ -z "$(extra_groups)" ] || echo "user $LOGIN is in the groups $(extra_groups | tr '\n' ' ')"
  else
    echo "user $LOGIN is missing"
  fi
  [ -f $CONF ] && dropin | cmp -s - $CONF || echo "$CONF is missing or was edited"
  W=$(effective)
  [ -z "$W" ] || echo "sshd does not obey $CONF: $W$(culprit)"
}
