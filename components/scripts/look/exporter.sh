#!/bin/sh
# What a look tells of the part exporter, behind its script.

present() { [ -n "$(closed_units)" ]; }

check() {
  exporter_unit=$(kept unit)
  still_open=$(open_places | paste -sd ' ')
  if [ "$MANAGE" = no ]; then
    [ -z "$still_open" ] || echo "exporter listens on $still_open, and manage: false leaves it to you to bind it to loopback"
    return 0
  fi
  if [ -z "$exporter_unit" ]; then
    # As it was applied with manage: false.
    return 0
  fi
  systemctl show -p LoadState -p ActiveState "$exporter_unit" | while read -r state; do
    case $state in
    LoadState=not-found) echo "$exporter_unit is gone" ;;
    ActiveState=inactive | ActiveState=failed | ActiveState=deactivating) echo "exporter $exporter_unit is stopped" ;;
    esac
  done
  [ -z "$still_open" ] || echo "exporter listens on $still_open"
  unit_text=$(systemctl cat "$exporter_unit" 2>/dev/null || :)
  [ "$(printf '%s\n' "$unit_text" | own_command)" = "$(kept command)" ] || echo "the command of $exporter_unit was changed"
  now_asked=$(printf '%s\n' "$unit_text" | listeners_asked)
  [ -z "$now_asked" ] || [ "$now_asked" = "$(kept asked)" ] ||
    echo "environment asks for another listener ($now_asked); it is overruled"
}

notices() {
  if [ "$MANAGE" = no ] && [ -z "$(listeners)" ]; then
    echo "nothing listens on 127.0.0.1:$PORT, so its target is down"
  fi
}
