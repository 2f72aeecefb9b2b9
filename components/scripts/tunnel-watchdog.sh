#!/bin/sh
# On a server: the user that the tunnels run as, and a unit of that user that ends an ssh which hangs, for systemd to start
# it anew. All stacks share both.
# Values: UNIT_FILE (text, without its sandbox).
# Uses: core receipt files process unit

shared() { true; }

paths() {
  unit=metrics-tunnels-watchdog.service
  UNITS=/etc/systemd/system
  unit_file=$UNITS/$unit
  RUNS=metrics-tunnel-ssh
  GECOS='Prometheus tunnels'
}

preflight() {
  paths
  case $(getent passwd $RUNS) in
  *"$GECOS"*) ;;
  '')
    ! getent group $RUNS >/dev/null || [ -d "$RECEIPT" ] ||
      fail "group $RUNS is there and not ours; rename it, or delete it: groupdel $RUNS"
    ;;
  *) fail "user $RUNS is there and not ours; rename it" ;;
  esac
  [ ! -s $unit_file ] || [ -d $RECEIPT ] || grep -q metrics-tunnel $unit_file || fail "$unit_file is not ours; move it away"
  note_unit watches
}

change() {
  text_changed=
  made_user=
  # A group of its own, whatever this machine's USERGROUPS_ENAB says.
  if getent passwd $RUNS >/dev/null; then
    if [ "$(id -Gn $RUNS)" != $RUNS ]; then
      getent group $RUNS >/dev/null || groupadd -r $RUNS
      usermod -g $RUNS -G '' $RUNS
    fi
  else
    group=-U
    ! getent group $RUNS >/dev/null || group="-g $RUNS"
    made_user=yes
    useradd -r $group -d /nonexistent -s /usr/sbin/nologin -c "$GECOS" $RUNS
    # What runs as the one before it has a number that may be somebody else's now.
    text_changed=1
    systemctl reset-failed 'metrics-tunnel-*.service' 2>/dev/null || :
    systemctl try-restart 'metrics-tunnel-*.service' ||
      fail "tunnels do not start as the new user $RUNS; see: journalctl -u 'metrics-tunnel-*'"
  fi
  put $unit_file "$UNIT_FILE
$(sandbox '/bin /usr/bin' ProtectProc)"
  run_unit
}

# By what the unit does, not by what it says: its loop has come round to its pause.
prove() {
  poll 5 watches || fail "$unit does not watch; see: journalctl -u $unit"
}

watches() {
  process=$(shows "$unit" MainPID)
  grep -sx sleep $(children_of "$process" | sed 's/$/\/comm/') >/dev/null
}

children_of() { # PROCESS
  grep -lx "PPid:.$1" /proc/[0-9]*/status 2>/dev/null | sed 's/\/status$//'
}

record() {
  manifest $unit_file
  # Of a removal that was ended.
  rm -f "$RECEIPT/group"
}

places() {
  paths
  echo "$unit_file"
}

undo() {
  undo_unit watches
  if [ -n "$made_user" ] && [ -e "$unit_file" ]; then
    # Tunnels run as it by now.
    lost="${lost:+$lost; }user $RUNS stays, made anew"
  fi
}

restore() {
  paths
  drop_unit
  # A stack of an earlier version has tunnels without a share in this.
  if grep -qs . $UNITS/metrics-tunnel-*.service; then
    return 0
  fi
  case $(getent passwd $RUNS) in
  *"$GECOS"*)
    # A run that is ended between user and group leaves the group to the next one.
    keep group $RUNS
    poll 5 gone || fail "cannot delete user $RUNS; see: ps -u $RUNS"
    ;;
  esac
  if [ -n "$(kept group)" ] && getent group $RUNS >/dev/null; then
    groupdel $RUNS
  fi
}

# What a unit has started may outlive it where control groups do not work. One with a number of its own in a container is not ours.
gone() {
  for folder in $(find /proc -maxdepth 1 -user $RUNS); do
    grep -q 'NSpid.*[0-9]\s' "$folder/status" || kill "${folder#/proc/}" || :
  done
  userdel $RUNS
}
