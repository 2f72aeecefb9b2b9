#!/bin/sh
# The lines of an authorized_keys file.

# Refuses where a key line would open a port that nobody listens on, unless a line opens it already or did: an exporter
# that has stopped since must not keep its host from a new key, and the exporter's own part starts it.
listened() { # OLD-LINES
  for A in $(echo "$LINE" | grep -o '127\.0\.0\.1:[0-9]*'); do
    case $1 in *"\"$A\""*) continue ;; esac
    [ -n "$(ss -Hltn "sport = :${A#*:}")" ] || fail "nothing listens on port ${A#*:}; start the exporter, or give its port"
  done
}

# Of the key that LINE lets in, or that it will.
key_type() {
  type_and_key=${LINE% *}
  type=${type_and_key% *}
  type=${type##* }
  echo ${type:-${KEY_TYPE-}}
}

# The places that LINE opens.
line_ports() { printf '%s\n' "$LINE" | grep -o '127\.0\.0\.1:[0-9]*' || :; }

# Reads key lines; prints all but ours. One with our key and no name of ours is none: it would lift the limits.
other_lines() {
  key=${LINE% *}
  awk -v id=$ID -v key="${key##* }" '$NF != id && (!index($0, key) || /^restrict,.* metrics-tunnel-[^ ]*$/)'
}

# Reads key lines; says what is wrong with ours among them.
line_drift() { # FILE
  key=${LINE% *}
  awk -v id=$ID -v line="$LINE" -v key="${key##* }" -v file="$1" '
    $0 == line { found++; next }
    $NF == id {
      changed = 1
      if (index($0, key) && !/^restrict,/) twin = 1
      next
    }
    index($0, key) && !/^restrict,.* metrics-tunnel-[^ ]*$/ { loose = 1 }
    END {
      if (found && twin) loose = 1
      else if (changed) print "the line of the key in " file " was changed"
      else if (!found) print "the line of the key in " file " is missing"
      if (found > 1) print "the line of the key in " file " stands there " found " times"
      if (loose) print "the key is not alone in " file ": it stands there in another line too, without its limits"
    }'
}
