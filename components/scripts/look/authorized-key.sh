#!/bin/sh
# What a look tells of the part authorized-key, behind its script.

present() {
  paths
  grep -qs " $ID\$" $KEYS
}

check() {
  paths
  LINE=$(kept line)
  { cat $KEYS 2>/dev/null || :; } | line_drift $KEYS
  for file in $KEYS $CONF; do
    [ ! -f $file ] || [ "$(stat -c '%a %U' $file)" = '644 root' ] ||
      echo "$file has mode and owner $(stat -c '%a %U' $file) instead of 644 root"
  done
  user_drift
  if ! complaint=$(sshd -t 2>&1); then
    echo "sshd's configuration is invalid, mend it: $complaint"
    return
  fi
  shut_out
  wanted=$(dropin)
  dropin_drift
  [ ! -e $TO_READ ] || echo "sshd has not read $CONF yet, as where a run was killed; it is told to"
  # What was edited is told already.
  untouched=$(printf '%s\n' "$wanted" | grep -sxFf $CONF || :)
  for origin in $(key_origins); do
    found=$(effective $origin | problems $origin "$untouched")
    if [ -n "$found" ]; then
      printf '%s\n' "$found"
      return
    fi
  done
}

# What stands in our key file and is not ours. One part of those that share it tells.
notices() {
  paths
  [ "$(receipts | head -n 1)" = $RECEIPT ] || return 0
  # Our own key in a line that is not ours is drift.
  key=$(kept line)
  key=${key% *}
  grep -sv -e '^[[:space:]]*#' -e '^[[:space:]]*$' -e '^restrict,.* metrics-tunnel-[^ ]*$' $KEYS |
    grep -vF -- "${key##* }" | while IFS= read -r line; do
    echo "$KEYS has a line that is not ours, of '$(printf %s "${line##* }" | tr -cd '[:print:]' | cut -c 1-60)': it is left alone, and keeps file, user and drop-in there; take it out if nobody needs it"
  done
}
