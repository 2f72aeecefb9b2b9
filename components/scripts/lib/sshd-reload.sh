#!/bin/sh
# sshd reads its settings anew, and proves it. A listener that is lost by that may be the admin's
# own way in.

# An sshd that a socket starts for each login reads its settings each time.
is_started_by_socket() {
  # True where one of them is.
  systemctl is-active -q ssh.socket sshd.socket
}

# Refuses where a reload would close what sshd listens on by settings that it has no more.
refuse_to_close_a_port() {
  if [ -z "$sshd_service" ] || is_started_by_socket; then
    return 0
  fi
  # Options of its own command line, such as a port, are not in its files.
  case $sshd_command in
  *' -p'* | *' -o'* | *' -f'*) return 0 ;;
  esac
  configured=$(printf '%s\n' "$general_settings" |
    sed -n 's/^listenaddress \([^ ]*\).*/\1/p' | without_zone)
  [ -n "$configured" ] || return 0
  to_close=$(places_not_among "$configured" "$(listeners_of "$sshd_service")")
  [ -z "$to_close" ] ||
    fail "sshd listens on $to_close, of which its settings say nothing any more:" \
      "to reload it would close that; add it there again, or reload sshd yourself"
}

# Has sshd read its settings anew.
# Sets: lost_places (what it listens on no longer, in one line)
reload_sshd() {
  lost_places=
  if [ -n "$sshd_service" ] && is_started_by_socket; then
    # It cannot open a socket again that it got from systemd. A restart ends no session.
    systemctl restart "$sshd_service"
  elif [ -n "$sshd_service" ]; then
    listeners_before=$(listeners_of "$sshd_service")
    systemctl reload "$sshd_service"
    poll 5 "all_listen_anew $sshd_service" || {
      lost_places=$(places_lost "$listeners_now")
      [ -n "$lost_places" ] ||
        fail "sshd did not read its settings anew; see: journalctl -u $sshd_service"
    }
  fi
}

# Whether each of listeners_before is there again with another socket. Where none was seen there is
# nothing to compare.
# Sets: listeners_now
all_listen_anew() { # SERVICE, for poll
  if [ -z "$listeners_before" ]; then
    return 0
  fi
  listeners_now=$(listeners_of "$1")
  [ -n "$listeners_now" ] && [ -z "$(places_lost "$listeners_now")" ] &&
    ! printf '%s\n' "$listeners_before" | grep -qxF "$listeners_now"
}

# Prints in one line what of listeners_before is gone.
places_lost() { # LISTENERS that are there now
  places_not_among "$(printf '%s\n' "$1" | cut -d' ' -f1)" "$listeners_before"
}

# Prints place and socket of each of its listeners.
listeners_of() { # SERVICE
  ss -Hltnpe | awk -v owner="pid=$(shows "$1" MainPID)," '
    index($0, owner) { for (i = 5; i <= NF; i++) if ($i ~ /^ino:/) print $4, $i }' | without_zone
}

# Reads addresses; prints them without the network interface that some are bound to, as in %eth0.
without_zone() { sed 's/%[^]: ]*//'; }

# Prints in one line the places of listeners that are not among others.
places_not_among() { # PLACES LISTENERS
  printf '%s\n' "$2" | while read -r place socket; do
    printf '%s\n' "$1" | grep -qxF "$place" || echo "$place"
  done | paste -s -d ' ' -
}
