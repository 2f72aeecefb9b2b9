#!/bin/sh
# On a host: the tunnel user, its restricted key line, and sshd's limits for it. The key lines of all servers and stacks
# share user, file and drop-in; the last line takes them along.
# Values: ID (the line's comment), LINE (the whole line), KEY_TYPE (of a key that is not made yet), FROM (addresses that
# the key is used from, as far as they are known), HERE and SSH_PORT (where it logs in to).
# Own: KEYS (the tunnel user's key file), CONF (sshd's drop-in for it), TO_READ (is there while sshd has not read CONF),
# FOUND_KEYS and MADE_CONF (that the folder of KEYS was there before us, and that the one of CONF was not).
# Uses: core receipt files process sshd login-rules key-lines sessions

paths() {
  LOGIN=metrics-tunnel
  KEYS=/etc/ssh/authorized_keys.d/$LOGIN
  CONF=/etc/ssh/sshd_config.d/10-metrics-tunnel.conf
  GECOS='Prometheus tunnels'
  TO_READ=$STORE/sshd-has-to-read
  FOUND_KEYS=$STORE/found-authorized_keys.d
  MADE_CONF=$STORE/made-sshd_config.d
}

preflight() {
  paths
  refuse_foreign
  listened "$(kept line && cat $KEYS 2>/dev/null)"
  sshd_is_valid
  [ -n "$(sshd_unit)" ] || by_socket ||
    fail "no ssh.service or sshd.service runs here, so sshd would not read $CONF; let systemd start sshd"
  case " $(running_sshd)" in
  *' -f /etc/ssh/sshd_config '*) ;;
  *' -f '*) fail "sshd runs with a file of its own (-f, as in /etc/default/ssh), and would not read $CONF; take -f out there" ;;
  esac
  refuse_shut_out
  # A rehearsal may not know LINE yet; the one that is there stands for it.
  known_line=$LINE
  LINE=${LINE:-$(kept line)}
  wanted=$(dropin)
  LINE=$known_line
  refuse_disobeyed
  if [ "$(cat $CONF 2>/dev/null)" != "$wanted" ]; then
    refuse_to_close_a_port
  fi
}

refuse_foreign() {
  case $(getent passwd $LOGIN) in
  *"$GECOS"*) ;;
  '')
    ! getent group $LOGIN >/dev/null || [ -n "$(receipts)" ] ||
      fail "group $LOGIN is there and not ours; rename it, or delete it: groupdel $LOGIN"
    ;;
  *) fail "user $LOGIN is there and not ours; rename it" ;;
  esac
  [ ! -s $CONF ] || [ -d $RECEIPT ] || grep -q metrics-tunnel $CONF || fail "$CONF is not ours; move it away"
}

# Of all key lines here, whatever stack they are of.
receipts() { ls -d $STORE/authorized-key-* 2>/dev/null || :; }

# Where the key may come from. Sessions tell where the server's address is not known.
key_origins() {
  {
    printf '%s\n' 127.0.0.1 ${FROM-}
    if [ -z "${FROM-}" ]; then
      session_addresses
    fi
  } | origins
}

session_addresses() {
  for folder in $(find /proc -maxdepth 1 -user $LOGIN 2>/dev/null); do
    ss -Htnp state established | sed -n "s/^.* \([^ ]*\):[0-9]* .*pid=${folder#/proc/},.*/\1/p"
  done | sed 's/^\[//; s/]$//; s/^::ffff://'
}

# Refuses beforehand what sshd would not obey, and what keeps the key out: asked with our drop-in at its place.
refuse_disobeyed() {
  candidate=$(with_ours)
  case $candidate in
  *'Include /dev/fd/2'*) ;;
  *)
    # A file that is included may include it in its turn: sshd tells when the drop-in is there.
    ! grep -sqi "^[[:space:]]*include.*${CONF%/*}" /dev/null $(included_files) || return 0
    fail "sshd does not read $CONF; add to the top of /etc/ssh/sshd_config: Include ${CONF%/*}/*.conf"
    ;;
  esac
  for origin in $(key_origins); do
    # What sshd does not take at all is told by sshd itself, when it stands in its place.
    settings=$(effective_with_ours $origin) || continue
    refuse_first_problem $origin
  done
}

included_files() { with_ours | sed -n 's/^Include //p'; }

effective_with_ours() { # ORIGIN
  effective $1 -f /dev/stdin 2<<DROPIN <<CANDIDATE
$wanted
DROPIN
$candidate
CANDIDATE
}

# sshd's main configuration, in which our drop-in comes by file descriptor 2, at its place among the files that an Include
# reads with it.
with_ours() {
  set -f
  while IFS= read -r line || [ -n "$line" ]; do
    set -- $line
    case ${1-} in
    [Ii][Nn][Cc][Ll][Uu][Dd][Ee])
      shift
      for pattern; do include_with_ours "$pattern"; done
      ;;
    *) printf '%s\n' "$line" ;;
    esac
  done </etc/ssh/sshd_config
}

include_with_ours() { # PATTERN
  pattern=${1#\"}
  pattern=${pattern%\"}
  case $pattern in /*) ;; *) pattern=/etc/ssh/$pattern ;; esac
  if [ "${pattern%/*}" = "${CONF%/*}" ] && is_like "$CONF" "$pattern"; then
    set +f
    {
      ls -d $pattern 2>/dev/null || :
      echo $CONF
    } | sort -u | sed "s#^#Include #; s#^Include $CONF\$#Include /dev/fd/2#"
    set -f
  else
    echo "Include $pattern"
  fi
}

refuse_first_problem() { # ORIGIN
  problem=$(printf '%s\n' "$settings" | problems $1 "$wanted" | head -n 1)
  [ -z "$problem" ] || fail "$problem"
}

# Reads sshd's settings; says what keeps the key out, and what of our drop-in does not count.
problems() { # ORIGIN DROP-IN
  all_settings=$(cat)
  ! printf '%s\n' "$all_settings" | grep -qx 'pubkeyauthentication no' ||
    echo "sshd has 'PubkeyAuthentication no'; take that out"
  for list in $(printf '%s\n' "$all_settings" | keeps_out ${1%,*}); do
    echo "sshd keeps user $LOGIN out $(let_in $list)"
  done
  ignored=$(printf '%s\n' "$all_settings" | disobeyed "$2")
  [ -z "$ignored" ] || disobedience $1 "$ignored"
  type=$(key_type)
  [ -z "$type" ] || printf '%s\n' "$all_settings" | takes_type $type || no_such_keys $type
}

# Reads sshd's settings; prints the lines of a drop-in that it would not use.
disobeyed() { # TEXT
  DROPIN=$1 awk '
    { settings[tolower($0)] }
    END {
      count = split(ENVIRON["DROPIN"], lines, "\n")
      for (i = 1; i <= count; i++) if (lines[i] !~ /^(#|Match)/ && !(tolower(lines[i]) in settings)) print lines[i]
    }'
}

# Says which lines sshd does not use, and what stands in their way.
disobedience() { # ORIGIN LINES
  first=$(printf '%s\n' "$2" | head -n 1)
  case $1 in 127.0.0.1,*) who= ;; *) who=" for logins from ${1%,*}" ;; esac
  cause=$(overruled_by "${first%% *}")
  if [ -z "$cause" ]; then
    cause="see what overrules it: sshd -T -C user=$LOGIN,addr=${1%,*},host=${1#*,},laddr=${HERE:-127.0.0.1},lport=${SSH_PORT:-22}"
  fi
  echo "sshd does not obey $CONF$who in: $(printf '%s\n' "$2" | paste -s -d , -); $cause"
}

# The first Match block with a setting that sshd reads before our drop-in: that one counts.
overruled_by() { # KEYWORD
  with_ours | sed '\#^Include /dev/fd/2$#q' | while IFS= read -r line; do
    case $line in
    'Include /'*) sed "s#^#${line#Include } #" "${line#Include }" 2>/dev/null || : ;;
    *) printf '%s %s\n' /etc/ssh/sshd_config "$line" ;;
    esac
  done | awk -v keyword="$1" '
    {
      file = $1
      sub(/^[^ ]*[ \t]+/, "")
      split($0, words, /[ \t=]+/)
    }
    tolower(words[1]) == "match" { block[file] = $0 }
    block[file] != "" && tolower(words[1]) == tolower(keyword) {
      print file " comes first, with \47" $0 "\47 in its block \47" block[file] "\47; take that out there"
      exit
    }'
}

change() {
  old_line=$(kept line)
  new_line=$LINE
  LINE=$old_line
  changed=$(changed_by_hand)
  LINE=$new_line
  own_user
  if [ ! -d ${KEYS%/*} ]; then
    # First the receipt: it tells the next run, should this one be killed, that the folder was not there before us.
    mkdir -p $RECEIPT/owners
    mkdir ${KEYS%/*}
  elif [ ! -e $KEYS ] && [ -z "$(receipts)" ]; then
    mkdir -p $STORE
    : >$FOUND_KEYS
  fi
  put $KEYS "$(
    other_lines 2>/dev/null <$KEYS || :
    echo "$LINE"
  )"
  write_limits
  settle_limits
  case $changed in
  all) end_sessions all '' '' ;;
  line) end_sessions untold ${old_line#* } ;;
  none) [ "${old_line#* }" = "${LINE#* }" ] || end_sessions untold ${old_line#* } ;;
  esac
}

# What a session may do sshd reads as it begins. One that began while user, drop-in or LINE were not ours would keep less
# than it needs, or more than it should have: prints "all" for every key's sessions, "line" for those of this one, "none" for
# none, and nothing before the first time.
changed_by_hand() {
  [ -n "$LINE" ] || return 0
  wanted=$(dropin)
  if [ -n "$(user_drift)$(limits_by_hand)" ] || [ -e $TO_READ ]; then
    # While sshd has not read the drop-in, as after a run that was killed, the limits are those that a hand has made.
    echo all
  elif [ -n "$({ cat $KEYS 2>/dev/null || :; } | line_drift $KEYS)" ]; then
    echo line
  else
    echo none
  fi
}

# What of the drop-in a hand has changed. A line that is missing may be one that an earlier release did not write.
limits_by_hand() {
  if [ "$(kept limits)" = "$(limits_checksum)" ]; then
    dropin_drift
  else
    dropin_drift | grep -v ' does not say ' || :
  fi
}

# Of what a release writes, less the ports, which other stacks change.
limits_checksum() { dropin | grep -v '^PermitOpen' | sha256sum; }

# The user, in a group of its own whatever the defaults of this machine are.
own_user() {
  made_user=
  made_group=
  if getent passwd $LOGIN >/dev/null; then
    [ -n "$(user_drift)" ] || return 0
    getent group $LOGIN >/dev/null || groupadd -r $LOGIN
    usermod -g $LOGIN -s /usr/sbin/nologin -d /nonexistent -p '*' -G '' $LOGIN
    chage -M -1 -I -1 -E -1 $LOGIN
    return
  fi
  group="-g $LOGIN"
  if ! getent group $LOGIN >/dev/null; then
    made_group=1
    group=-U
  fi
  made_user=1
  useradd -r -M $group -s /usr/sbin/nologin -d /nonexistent -p '*' -c "$GECOS" $LOGIN
  # Hardened defaults let the passwords of all users expire, and with it their keys.
  chage -M -1 -I -1 -E -1 $LOGIN
}

# Writes the drop-in, and first that sshd has to read it: a run that is killed before it did leaves that to the next.
write_limits() {
  wanted=$(dropin)
  was_to_read=$(ls $TO_READ 2>/dev/null || :)
  if [ "$(cat $CONF 2>/dev/null)" != "$wanted" ]; then
    mkdir -p $STORE
    : >$TO_READ
  fi
  if [ ! -d ${CONF%/*} ]; then
    : >$MADE_CONF
    mkdir ${CONF%/*}
  fi
  put $CONF "$wanted"
}

# Has sshd read the drop-in where it has not, and looks whether it obeys.
settle_limits() {
  if [ -e $TO_READ ]; then
    reload_sshd
  fi
  for origin in $(key_origins); do
    settings=$(effective $origin)
    refuse_first_problem $origin
  done
}

# sshd's limits for all lines there are. What would hinder the forward is lifted for this user alone.
dropin() {
  echo "# Managed by metrics-tunnel.
Match User metrics-tunnel
AuthorizedKeysFile /etc/ssh/authorized_keys.d/%u
AuthenticationMethods publickey
DisableForwarding no
AllowTcpForwarding local
AllowStreamLocalForwarding no
PermitOpen $(ports | paste -s -d ' ' -)
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
Banner none
ClientAliveInterval 15
ClientAliveCountMax 3"
  # Both came with OpenSSH 9.2. With `ChannelTimeout none` in a Match block 9.2 and 10.0 end each login.
  if sshd -T | grep -q '^unusedconnectiontimeout '; then
    echo "ChannelTimeout *=0
UnusedConnectionTimeout none"
  fi
  echo "Match all"
}

# What our lines open: LINE and those of others, as their receipts say, whatever a hand made of them. A line counts as it
# stands where its receipt is lost.
ports() {
  others=$(for folder in $(receipts); do [ $folder = $RECEIPT ] || cat $folder/line 2>/dev/null || :; done)
  {
    printf '%s\n' "$LINE" "$others"
    grep -s '^restrict,.* metrics-tunnel-[^ ]*$' $KEYS | while IFS= read -r line; do
      case "
$others
$LINE" in
      *" ${line##* }
"* | *" ${line##* }") ;;
      *) case $line in *" $ID") ;; *) printf '%s\n' "$line" ;; esac ;;
      esac
    done
  } | grep -o '127\.0\.0\.1:[0-9]*' | sort -u | grep . || echo none
}

# One that a socket starts for each login reads its settings each time.
by_socket() { systemctl is-active -q ssh.socket || systemctl is-active -q sshd.socket; }

# Has sshd read its settings anew, and proves it: each of its listeners is another socket then. One that is gone may be the
# admin's own way in.
# Sets: has_read, lost (what it listens on no longer).
reload_sshd() {
  sshd_is_valid
  unit=$(sshd_unit)
  has_read=1
  if [ -n "$unit" ] && by_socket; then
    # It cannot open a socket again that it got from systemd. A restart ends no session.
    systemctl restart $unit
  elif [ -n "$unit" ]; then
    listeners_before=$(listeners_of $unit)
    systemctl reload $unit
    poll 5 all_listen_anew || [ -n "$(lost_listeners)" ] ||
      fail "sshd did not read its settings anew; see: journalctl -u $unit"
    lost=$(lost_listeners)
  fi
  rm -f $TO_READ
  [ -z "${lost-}" ] || fail "sshd was reloaded and no longer listens on $lost; if that is your way in, stay logged in, see journalctl -u $unit for what keeps it from there, mend that and reload it"
}

# Prints place and socket of each of its listeners.
listeners_of() { # UNIT
  ss -Hltnpe | awk -v owner="pid=$(shows $1 MainPID)," '
    index($0, owner) { for (i = 5; i <= NF; i++) if ($i ~ /^ino:/) print $4, $i }' | without_zone
}

without_zone() { sed 's/%[^]: ]*//'; }

# Where none is seen there is nothing to compare.
all_listen_anew() {
  [ -n "$listeners_before" ] || return 0
  listeners_now=$(listeners_of $unit)
  [ -n "$listeners_now" ] && [ -z "$(lost_listeners)" ] && ! printf '%s\n' "$listeners_before" | grep -qxF "$listeners_now"
}

# Of those before the reload, in one line.
lost_listeners() {
  now=" $(listeners_of $unit | tr '\n' ' ')"
  printf '%s\n' "$listeners_before" | while read -r place socket; do
    case $now in *" $place "*) ;; *) echo $place ;; esac
  done | paste -s -d ' ' -
}

# A reload would close what sshd listens on by settings that it has no more.
refuse_to_close_a_port() {
  unit=$(sshd_unit)
  [ -n "$unit" ] && ! by_socket || return 0
  # Options of its own command line, such as a port, are not in its files.
  case $(tr '\0' ' ' 2>/dev/null </proc/$(shows $unit MainPID)/cmdline) in *' -p'* | *' -o'* | *' -f'*) return 0 ;; esac
  configured=$(sshd -T | sed -n 's/^listenaddress \([^ ]*\).*/\1/p' | without_zone)
  [ -n "$configured" ] || return 0
  to_close=$(listeners_of $unit | while read -r place socket; do
    printf '%s\n' "$configured" | grep -qxF "$place" || echo $place
  done | paste -s -d ' ' -)
  [ -z "$to_close" ] || fail "sshd listens on $to_close, of which its settings say nothing any more: to reload it would close that; add it there again, or reload sshd yourself"
}

record() {
  keep line "$LINE"
  keep limits "$(limits_checksum)"
  # Of a removal that was ended.
  rm -f $RECEIPT/group
}

undo() {
  if [ -n "${made_user-}" ]; then
    userdel $LOGIN
    [ -z "$made_group" ] || ! getent group $LOGIN >/dev/null || groupdel $LOGIN
  fi
  take_folders
  if [ -n "${has_read-}" ]; then
    # Where nothing of ours is left it has nothing to read, and the next drop-in is a new one.
    (reload_sshd) || [ -e $CONF ] || rm -f $TO_READ
  elif [ -z "${was_to_read-}" ]; then
    rm -f $TO_READ
  fi
}

# Those that we made, where they are empty.
take_folders() {
  [ -e $KEYS ] || [ -e $FOUND_KEYS ] || rmdir ${KEYS%/*} 2>/dev/null || :
  [ -e $CONF ] || [ ! -e $MADE_CONF ] || rmdir ${CONF%/*} 2>/dev/null || :
  if [ ! -e $KEYS ] && [ ! -e $CONF ]; then
    rm -f $FOUND_KEYS $MADE_CONF
  fi
}

restore() {
  paths
  left=$(other_lines 2>/dev/null <$KEYS || :)
  if printf '%s\n' "$left" | grep -q '^ *[^ #]'; then
    old_line=$LINE
    LINE=
    put $KEYS "$left"
    write_limits
    if [ -e $TO_READ ]; then
      reload_sshd
    fi
    end_sessions untold ${old_line#* }
    return
  fi
  if [ -e $CONF ]; then
    mkdir -p $STORE
    : >$TO_READ
  fi
  away $CONF $KEYS
  take_folders
  if [ -e $TO_READ ]; then
    reload_sshd
  fi
  case $(getent passwd $LOGIN) in *"$GECOS"*)
    end_sessions all '' ''
    # A run that is ended between the two leaves the group to the next one.
    keep group $LOGIN
    poll 5 "userdel $LOGIN" || fail "cannot delete user $LOGIN; see: loginctl"
    ;;
  esac
  if [ -n "$(kept group)" ] && getent group $LOGIN >/dev/null; then
    groupdel $LOGIN
  fi
}

places() {
  paths
  echo "$KEYS" "$CONF"
}

user_drift() {
  if ! account=$(getent passwd $LOGIN); then
    echo "user $LOGIN is missing"
    return
  fi
  home_and_shell=$(echo "$account" | cut -d: -f6,7)
  [ "$home_and_shell" = /nonexistent:/usr/sbin/nologin ] ||
    echo "user $LOGIN has another shell or home: $home_and_shell"
  [ "$(getent shadow $LOGIN | cut -d: -f2)" = '*' ] || echo "user $LOGIN has a password or is locked"
  ages=$(getent shadow $LOGIN | cut -d: -f5,7,8)
  case $ages in :: | 99999:: | -1:-1:-1) ;; *) echo "user $LOGIN expires, or its password does: chage -l $LOGIN" ;; esac
  [ "$(id -gn $LOGIN)" = $LOGIN ] || echo "user $LOGIN has group $(id -gn $LOGIN) instead of one of its own"
  others=$(id -Gn $LOGIN | tr ' ' '\n' | grep -vx -e $LOGIN -e $(id -gn $LOGIN) | tr '\n' ' ')
  [ -z "$others" ] || echo "user $LOGIN is in the groups ${others% }"
}

# Says which line of the drop-in says what, and should say what.
dropin_drift() {
  if [ ! -f $CONF ]; then
    echo "$CONF is missing"
    return
  fi
  [ "$(cat $CONF)" != "$wanted" ] || return 0
  WANTED=$wanted awk -v file=$CONF '
    function key() {
      split($0, words)
      return tolower(words[1] (tolower(words[1]) == "match" ? words[2] : ""))
    }
    BEGIN {
      count = split(ENVIRON["WANTED"], lines, "\n")
      for (i = 2; i <= count; i++) {
        $0 = lines[i]
        wanted[key()] = $0
      }
    }
    { sub(/^[ \t]+/, "") }
    /^(#|$)/ { next }
    {
      seen[key()]
      if (!(key() in wanted)) print file " says \47" $0 "\47, which is not ours"
      else if (wanted[key()] != $0) print file " says \47" $0 "\47 instead of \47" wanted[key()] "\47"
    }
    END {
      for (i = 2; i <= count; i++) {
        $0 = lines[i]
        if (!(key() in seen)) left = left ", \47" $0 "\47"
      }
      if (left) print file " does not say " substr(left, 3)
    }' $CONF | grep . || echo "$CONF was edited"
}
