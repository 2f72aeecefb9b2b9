#!/bin/sh
# What a look tells of the part authorized-key, behind its script.

present() {
  paths
  grep -qs " $ID\$" "$KEYS_FILE"
}

check() {
  paths
  line_before=$(kept line)
  lines_there | line_drift "$line_before" "$KEYS_FILE"
  for file in "$KEYS_FILE" "$DROPIN_FILE"; do
    [ ! -f "$file" ] || [ "$(stat -c '%a %U' "$file")" = '644 root' ] ||
      echo "$file has mode and owner $(stat -c '%a %U' "$file") instead of 644 root"
  done
  tunnel_user_drift
  if ! complaint=$(sshd -t 2>&1); then
    echo "sshd's configuration is invalid, mend it: $complaint"
    return
  fi
  shut_out
  wanted=$(dropin_for "$line_before")
  dropin_drift "$wanted"
  [ ! -e "$UNREAD_MARK" ] ||
    echo "sshd has not read $DROPIN_FILE yet, as where a run was killed; it is told to"
  # What was edited is told already.
  untouched=$(printf '%s\n' "$wanted" | grep -sxFf "$DROPIN_FILE" || :)
  for origin in $(key_origins); do
    found=$(settings_for "$origin" |
      problems "$origin" "$untouched" "$(key_type "$line_before")")
    if [ -n "$found" ]; then
      printf '%s\n' "$found"
      return
    fi
  done
}

# What stands in our key file and is not ours. One part of those that share it tells.
notices() {
  paths
  [ "$(receipts | head -n 1)" = "$RECEIPT" ] || return 0
  # Our own key in a line that is not ours is drift.
  grep -sv -e '^[[:space:]]*#' -e '^[[:space:]]*$' -e '^restrict,.* metrics-tunnel-[^ ]*$' "$KEYS_FILE" |
    grep -vF -- "$(key_in "$(kept line)")" | while IFS= read -r line; do
    echo "$KEYS_FILE has a line that is not ours, of '$(printf %s "${line##* }" | tr -cd '[:print:]' | cut -c 1-60)': it is left alone, and keeps file, user and drop-in there; take it out if nobody needs it"
  done
}
