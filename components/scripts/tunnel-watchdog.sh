#!/bin/sh
# On a server: the user that the tunnels run as, and a unit of that user that ends an ssh which
# hangs, for systemd to start it anew. All stacks share both.
#
# Constants: see paths.
# Uses: core receipt files process unit

shared() { true; }

# Its user is the tunnels': it can end them, and nothing else. It stops within 5 seconds, as where
# control groups do not work systemd waits for what it has ended already, and the machine's lock is
# held meanwhile. It does without ProtectProc: tunnels have user namespaces of their own, and would
# be invisible.
unit_text() {
  cat <<UNIT
# Managed by metrics-tunnel
[Unit]
Description=Ends SSH tunnels that hang
[Service]
Type=exec
Restart=always
RestartSec=5
TimeoutStopSec=5
PrivateNetwork=yes
User=metrics-tunnel-ssh
ExecStart=/bin/sh -c '$(watch_loop | as_one_line | for_systemd)'
$(sandbox '/bin /usr/bin' | grep -v '^ProtectProc=')
UNIT
}

# What the unit does, as a shell text. Nothing else sees an ssh that is stopped or hangs. A sound
# one wakes at least every 5 seconds (ServerAliveInterval, ConnectTimeout), and every 10 while it
# logs in. Looks are 7 seconds apart. One that was on no processor between two of them hangs where
# it is stopped or waits for a disk; of others a third look tells. As the number of the tunnels'
# user may be that of a container's user as well, a tunnel is known by its unit.
#
# It is one line in the unit, and stands there with these letters:
#   n, o, q   what this look has seen, the one before, and the one before that: a line for each ssh,
#             with its process and how often it was on a processor and off again (ctxt)
#   p, r      a process, and the rest of its line
watch_loop() {
  cat <<'LOOP'
while :; do
  n=$(for p in $(find /proc -maxdepth 1 -user metrics-tunnel-ssh); do
    grep -qsx ssh $p/comm && grep -qs /metrics-tunnel- $p/cgroup &&
    echo ${p##*/} $(grep -s ctxt $p/status);
  done);
  echo "$n" | grep . | grep -Fx "$o" | while read -r p r; do
    case $q in
      *"$p $r"*) ;;
      *) grep -qs "^State:.[DTt]" /proc/$p/status || continue;;
    esac;
    echo "ssh $p hangs and is ended";
    kill -9 $p;
  done;
  q=$o; o=$n; sleep 7;
done
LOOP
}

as_one_line() { sed 's/^ *//' | paste -sd ' ' -; }

# systemd reads $$ as $.
for_systemd() { sed 's/\$/$$/g'; }

paths() {
  unit=metrics-tunnels-watchdog.service
  UNITS=/etc/systemd/system
  unit_file=$UNITS/$unit
  TUNNELS_USER=metrics-tunnel-ssh
  USER_COMMENT='Prometheus tunnels'
}

places() {
  paths
  echo "$unit_file"
}

# --- What refuses before anything is changed.

preflight() {
  paths
  refuse_foreign_user
  refuse_foreign_unit
  note_unit watches
}

refuse_foreign_user() {
  if user_is_there; then
    user_is_ours || fail "user $TUNNELS_USER is there and not ours; rename it"
  elif group_is_there && [ ! -d "$RECEIPT" ]; then
    fail "group $TUNNELS_USER is there and not ours; rename it, or delete it:" \
      "groupdel $TUNNELS_USER"
  fi
}

# An empty one is nobody's. One that a hand has replaced is ours where we have a receipt.
refuse_foreign_unit() {
  [ ! -s "$unit_file" ] || [ -d "$RECEIPT" ] || grep -q metrics-tunnel "$unit_file" ||
    fail "$unit_file is not ours; move it away"
}

user_is_there() { getent passwd "$TUNNELS_USER" >/dev/null; }

group_is_there() { getent group "$TUNNELS_USER" >/dev/null; }

user_is_ours() {
  case $(getent passwd "$TUNNELS_USER") in
  *"$USER_COMMENT"*) ;;
  *) false ;;
  esac
}

# --- What is changed.

# Sets: made_user (for undo: not empty where there was no user)
change() {
  text_changed=
  made_user=
  if user_is_there; then
    mend_user
  else
    made_user=yes
    make_user
    restart_what_ran_as_the_old_one
  fi
  put "$unit_file" "$(unit_text)"
  run_unit
}

# The user has a group of its own, whatever this machine's USERGROUPS_ENAB says.
mend_user() {
  if [ "$(id -Gn "$TUNNELS_USER")" != "$TUNNELS_USER" ]; then
    group_is_there || groupadd -r "$TUNNELS_USER"
    usermod -g "$TUNNELS_USER" -G '' "$TUNNELS_USER"
  fi
}

make_user() {
  if group_is_there; then
    set -- -g "$TUNNELS_USER"
  else
    set -- -U
  fi
  useradd -r "$@" -d /nonexistent -s /usr/sbin/nologin -c "$USER_COMMENT" "$TUNNELS_USER"
}

# What runs as a user that was deleted has a number that may be somebody else's now.
# Sets: text_changed (as run_unit has to start the watchdog anew, too)
restart_what_ran_as_the_old_one() {
  text_changed=1
  systemctl reset-failed 'metrics-tunnel-*.service' 2>/dev/null || :
  systemctl try-restart 'metrics-tunnel-*.service' ||
    fail "tunnels do not start as the new user $TUNNELS_USER;" \
      "see: journalctl -u 'metrics-tunnel-*'"
}

record() {
  manifest "$unit_file"
  # Of a removal that was ended.
  rm -f "$RECEIPT/group"
}

# --- The proof.

prove() {
  poll 5 watches || fail "$unit does not watch; see: journalctl -u $unit"
}

# By what the unit does, not by what it says: its loop has come round to its pause.
watches() {
  main_process=$(shows "$unit" MainPID)
  # shellcheck disable=SC2046 # a list of files, or none
  grep -sx sleep $(children_of "$main_process" | sed 's/$/\/comm/') >/dev/null
}

# Prints their folders in /proc, a line each.
children_of() { # PROCESS
  grep -lx "PPid:.$1" /proc/[0-9]*/status 2>/dev/null | sed 's/\/status$//'
}

# --- The way back.

undo() {
  undo_unit watches
  if [ -n "$made_user" ] && [ -e "$unit_file" ]; then
    # Tunnels run as it by now.
    lost="${lost:+$lost; }user $TUNNELS_USER stays, made anew"
  fi
}

restore() {
  paths
  drop_unit
  # A stack of an earlier version has tunnels without a share in this.
  if a_tunnel_is_left; then
    return 0
  fi
  if user_is_ours; then
    # A run that is ended between user and group leaves the group to the next one.
    keep group "$TUNNELS_USER"
    poll 5 delete_user || fail "cannot delete user $TUNNELS_USER; see: ps -u $TUNNELS_USER"
  fi
  if [ -n "$(kept group)" ] && group_is_there; then
    groupdel "$TUNNELS_USER"
  fi
}

a_tunnel_is_left() { grep -qs . "$UNITS"/metrics-tunnel-*.service; }

# Ends what is left of the tunnels, and deletes their user. What a unit has started may outlive it
# where control groups do not work. A process with a number of its own in a container is not ours.
delete_user() {
  find /proc -maxdepth 1 -user "$TUNNELS_USER" | while read -r folder; do
    grep -q 'NSpid.*[0-9]\s' "$folder/status" || kill "${folder#/proc/}" || :
  done
  userdel "$TUNNELS_USER"
}
