#!/bin/sh
# On a server: the hardened unit that carries a host's scrapes. Proves itself by a real scrape.
# Values: HOST, HOST_KEY (type and key), UNIT_FILE (text, without the host key and its sandbox), LISTENS (address:port/path ...), SCRAPE_SECONDS
# (that one scrape may take).
# Uses: core receipt files process unit http metrics-answer.awk

paths() {
  unit=metrics-tunnel-$HOST.service
  J="journalctl -u $unit"
  UNITS=/etc/systemd/system
  unit_file=$UNITS/$unit
  known_hosts_file=/etc/metrics-tunnel/known_hosts/$HOST
}

preflight() {
  paths
  carried_before=
  [ -x /usr/bin/ssh ] || fail "no /usr/bin/ssh; install the OpenSSH client here (openssh-client, on Red Hat openssh-clients)"
  [ ! -s $unit_file ] || grep -q "stack $STACK;" $unit_file || held_by_this_stack || fail "$unit_file is another stack's; rename the host"
  P=$(shows $unit MainPID)
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
  refuse_without_credentials
  note_unit logged_in
}

# Images of containers (LXC) hold a drop-in for all services that empties what they load: the tunnel would get no key.
refuse_without_credentials() {
  # An empty one of the encrypted empties the same list.
  empties='^[[:space:]]*LoadCredential\(Encrypted\)\{0,1\}[[:space:]]*=[[:space:]]*$'
  for dropin in $(shows systemd-journald.service DropInPaths); do
    case $dropin in */service.d/*) ;; *) continue ;; esac
    grep -qs "$empties" "$dropin" || continue
    lasting=/etc/systemd/system/service.d
    case $dropin in
    $lasting/*) remedy="take that line out of it: sed -i '/$empties/d' $dropin" ;;
    *) remedy="lay a copy without it over that: mkdir -p $lasting; grep -v '$empties' $dropin >$lasting/${dropin##*/}" ;;
    esac
    fail "$dropin empties LoadCredential= of every service, and the tunnel would get no key; $remedy;" \
      "systemctl daemon-reload"
  done
}

# ssh opens the forwards' ports here once it has logged in, all of them or none.
logged_in() { ss -Hltnp | grep -q "pid=$(shows "$unit" MainPID),"; }

change() {
  if [ -n "$worked_before" ]; then
    for place in $LISTENS; do
      case $(metrics_answer "http://$place" "$SCRAPE_SECONDS") in
      metrics) carried_before="$carried_before $place" ;;
      # Others wait for the lock meanwhile: one that hangs is enough.
      *within*) break ;;
      esac
    done
  fi
  text_changed=
  mkdir -p ${known_hosts_file%/*}
  put $known_hosts_file "$HOST $HOST_KEY"
  put $unit_file "$UNIT_FILE
LoadCredential=known_hosts:$known_hosts_file
$(sandbox /usr/bin/ssh)"
  run_unit
}

prove() {
  flock -u 9
  for place in $LISTENS; do
    poll 20 carries || fail "no scrape through $place: $(why_not); see: $J"
  done
}

# A target that is down is health: the far side let the forward through and nobody answered it there.
carries() {
  process=$(shows $unit MainPID)
  refused_before=$(refusals)
  metrics_from "http://$place" "$SCRAPE_SECONDS" && return 0
  case $answer in closes*) ;; *) return 1 ;; esac
  # While ssh still logs in, a Banner may say the same words.
  [ "$process" = "${connected_to-}" ] && [ "$(refusals)" -gt "$refused_before" ] && return 0
  connected_to=$process
  false
}

# How often the far side has told the tunnel's ssh that nobody takes a connection there.
refusals() {
  $J -b -qo cat "_PID=$process" | grep -c '^channel [0-9]*: open failed: connect failed: Connection refused' || :
}

why_not() {
  case $answer in
  takes* | closes*) ssh_error | grep . || echo "it $answer$(without_journal)" ;;
  *) echo "the exporter $answer" ;;
  esac
}

# Without what ssh says an exporter that is not on loopback yet looks as one to which sshd lets nobody.
without_journal() {
  [ -n "$(journalctl -b -qn 1)" ] || echo ", and no journal here says why; set Storage=volatile in journald.conf"
}

# What ssh said last of itself. A Banner is in the journal too, and no word of it is the reason: only what ssh says counts.
ssh_error() {
  own='^(ssh|kex_[a-z_]*|ssh_[a-z_]*|client_loop|bind [^ ]+|channel [0-9]+|channel_[a-z_]*|command-line|sign_and_send_pubkey): '
  own="$own"'|^Connection (closed|reset|timed out|refused|to [^ ]+ port)|: Permission denied \(|^Timeout, server '
  own="$own"'|^(Host key verification failed|No .* host key is known|Unable to negotiate|Received disconnect|Disconnected)'
  own="$own"'|^(Load key|no such identity|Could not request|Too many authentication|Authentication failed|Bad )'
  $J -qo cat --since "@$started_at" _TRANSPORT=stdout | grep -E "$own" | tail -n 1
}

record() { manifest $unit_file $known_hosts_file; }

places() {
  paths
  echo "$unit_file" "$known_hosts_file"
}

undo() { undo_unit as_before; }

as_before() {
  logged_in || return 1
  for place in $carried_before; do
    metrics_from "http://$place" "$SCRAPE_SECONDS" || return 1
  done
}

restore() {
  paths
  drop_unit $known_hosts_file
  rmdir -p ${known_hosts_file%/*} 2>/dev/null || :
}
