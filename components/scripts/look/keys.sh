#!/bin/sh
# What a look reads on a host with key lines of ours, beyond the files and folders of facts.sh. What
# apply judges too is told in the words of the functions by which it does, on what was applied: so a
# rule has one place, and drift and refusal of one thing are one text. All else is judged in Python.
# It is read behind the parts' scripts, as lines of tabs:
#   said      WHAT TEXT   what is wrong with the user (WHAT is tunnel-user), with sshd's
#                         configuration (sshd), or what keeps a key out that was applied, or its
#                         forward (its part's name)
#   wanted    PATH LINE   a file of ours, as this release would write it now
#   text      PATH LINE   each line of the tunnel user's key file, and of our drop-in for sshd
#   key-file  PART PATH   the login user's file that a part's line should stand in
#   key-line  PART LINE   lines of that file that hold our line's name or its key; others are not
#                         ours to tell

# Once a machine, for all its key lines, where one was applied: sshd's answer is the dearest of a
# look at a host.
# Sets: what know_sshd sets
ask_sshd() {
  if [ -n "$(ls -d "$STORE"/authorized-key-* "$STORE"/login-key-* 2>/dev/null || :)" ]; then
    know_sshd
  fi
}

# Once a machine: what all key lines of the tunnel user share. Where none was applied nothing of it
# is judged but the files.
shared_by_tunnel_keys() {
  paths
  for_each_file stat --printf="$FACT\tmode\t%a %U %n\n"
  for_each_file awk -v fact="$FACT\ttext" '{ print fact "\t" FILENAME "\t" $0 }'
  if [ -z "$(receipts)" ]; then
    return 0
  fi
  tunnel_user_drift | fact said tunnel-user
  # Of settings that sshd cannot read it tells nothing.
  complaint=
  if [ -z "$general_settings" ]; then
    complaint=$({ (refuse_invalid_settings) || :; } 3>&1)
  fi
  if [ -n "$complaint" ]; then
    printf '%s\n' "$complaint" | fact said sshd
  else
    dropin_for '' | fact wanted "$DROPIN_FILE"
  fi
}

# Runs a command on those of these files that are there.
for_each_file() { # COMMAND
  find -L "$KEYS_FILE" "$DROPIN_FILE" "$UNREAD_MARK" -maxdepth 0 -type f \
    -exec "$@" {} + 2>/dev/null || :
}

# Of one key line of the tunnel user.
tunnel_key() { # OWNER
  begin_reading "$@" || return 0
  paths
  if [ -n "$line_before" ]; then
    { what_keeps_tunnel_key_out || :; } | fact_of_part said
  fi
}

# It says nothing that is right where sshd's configuration is invalid.
what_keeps_tunnel_key_out() {
  shut_out
  # What a hand has changed is told by comparing the lines.
  untouched=$(dropin "$(sed -n 's/^PermitOpen //p' "$DROPIN_FILE" 2>/dev/null)" |
    grep -sxFf "$DROPIN_FILE" || :)
  for origin in $(key_origins); do
    found=$(settings_for "$origin" |
      problems "$origin" "$untouched" "$(key_type "$line_before")")
    if [ -n "$found" ]; then
      printf '%s\n' "$found"
      return
    fi
  done
}

# Of one key line of a user who was there before.
login_key() { # OWNER
  begin_reading "$@" || return 0
  paths
  if [ -n "$line_before" ]; then
    { what_keeps_out "$line_before" || :; } | fact_of_part said
  fi
  if [ -d "$home" ]; then
    # Why a file cannot be read comes by descriptor 3, see fail.
    { login_file 3>&1 1>&4 | fact_of_part said; } 4>&1
  fi
}

login_file() {
  read_keys
  printf '%s\n' "$keys_file" | fact_of_part key-file
  key=$(key_in "$line_before")
  printf %s "${content%x}" | grep -F -e "$ID" -e "${key:-$ID}" | fact_of_part key-line
}

# False where a value could leave its place: the rehearsal tells that.
# Sets: line_before (of the receipt; empty where nothing was applied)
begin_reading() { # OWNER
  begin
  [ -z "$(out_of_place "$@")" ] || return 1
  line_before=$(kept line)
}

# Reads lines; prints each as a fact of this part, at once: several parts tell theirs side by side.
fact_of_part() { # KIND
  while IFS= read -r line; do
    printf '%b\t%s\t%s\t%s\n' "$FACT" "$1" "$PART" "$line"
  done
}
