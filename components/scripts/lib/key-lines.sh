#!/bin/sh
# The lines of an authorized_keys file: OPTIONS TYPE KEY NAME. Ours has ID as its name.

# --- What a line says.

# Prints type, key and name.
public_key_in() { # LINE
  echo "${1#* }"
}

# Prints the key, in letters.
key_in() { # LINE
  before_name=${1% *}
  echo "${before_name##* }"
}

# Prints the type of the key that LINE lets in, or that it will: a key that is not made yet has
# KEY_TYPE, where anybody knows that.
key_type() { # LINE
  before_name=${1% *}
  before_key=${before_name% *}
  type=${before_key##* }
  echo "${type:-${KEY_TYPE-}}"
}

# Prints the places that lines open, a line each.
places_opened_by() { # LINES
  printf '%s\n' "$1" | grep -o '127\.0\.0\.1:[0-9]*' || :
}

# Refuses where a key line would open a port that nobody listens on, unless a line opens it already
# or did: an exporter that has stopped since must not keep its host from a new key, and the
# exporter's own part starts it.
refuse_silent_ports() { # LINE LINES-BEFORE
  for place in $(places_opened_by "$1"); do
    case $2 in
    *"\"$place\""*) continue ;;
    esac
    port=${place#*:}
    [ -n "$(ss -Hltn "sport = :$port")" ] ||
      fail "nothing listens on port $port; start the exporter, or give its port"
  done
}

# --- Our line among others.

# Reads key lines; prints ours, whatever a hand made of it. A line that holds our key counts as ours
# too, unless it is another stack's with limits of its own: it would lift those of ours.
our_lines() { # OUR-LINE
  lines_by_whose 1 "$1"
}

# Reads key lines; prints all but ours.
other_lines() { # OUR-LINE
  lines_by_whose 0 "$1"
}

lines_by_whose() { # 1 for ours, 0 for others, OUR-LINE
  awk -v ours="$1" -v name="$ID" -v key="$(key_in "$2")" '
    ($NF == name || (index($0, key) && !/^restrict,.* metrics-tunnel-[^ ]*$/)) == ours'
}
