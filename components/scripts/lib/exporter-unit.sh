#!/bin/sh
# An exporter's unit, and our drop-in for it, as apply and a look read them.
# It goes with own-command.awk and closed-ports.awk.

dropin_of() { # UNIT
  echo "/etc/systemd/system/$1.d/zz-metrics-tunnel.conf"
}

# The ports that drop-ins of ours close, by their text: a line "PORT FILE" for each, and for each
# copy that a killed run has left.
closed_ports() {
  # shellcheck disable=SC2046 # a pattern
  awk "$CLOSED_PORTS_AWK" $(dropin_of '*.service')* 2>/dev/null || :
}

# Reads what `systemctl cat` prints; prints the unit's own commands, a line each.
own_command() { awk "$OWN_COMMAND_AWK"; }

# Reads what `systemctl cat` prints; prints the listen flags that the unit's environment files ask
# for. The drop-in overrules them.
listeners_asked() {
  sed -n 's/^[ \t]*EnvironmentFile[ \t]*=[ \t]*-*//p' | while read -r environment_file; do
    # shellcheck disable=SC2086 # may be a pattern
    grep -Ho -e '--*web.listen-address[= ][^" ]*' $environment_file 2>/dev/null || :
  done
}

# Reads what `ss` prints; prints the addresses on this machine, each once.
local_addresses() { awk '{ print $4 }' | sort -u; }
