#!/bin/sh
# What the machine itself tells of a part, where facts alone do not, and what an `up` would refuse there. It is read alone,
# and nothing on it is changed.
#
# Such a part defines in the folder look:
#   present   is it there?
#   check     prints drift, a line each
#   notices   prints what is worth a word, and is neither drift nor touched

notices() { :; }

# Prints each folder that is not as it should be, a tab, and what is said of it.
folder_drift() {
  wrong_folders | while read -r folder mode owner mended; do
    if [ -n "$mended" ]; then
      text="$folder has mode and owner $mode $owner instead of $mended root"
    else
      text=$(open_to_others "$folder" "$mode" "$owner")
    fi
    printf '%s\t%s\n' "$folder" "$text"
  done
}

# What a part's own text in the folder look tells: where it was applied its drift and its notices, else whether it is there.
tell() { # OWNER
  begin
  # A value that could leave its place is told by the rehearsal.
  [ -z "$(out_of_place "$@")" ] || return 0
  if [ -n "$(recorded_as "$1")" ]; then
    # Where a check cannot go on, its reason is the drift.
    { check 3>&1 || :; } | while IFS= read -r text; do report drift "$text"; done
    notices | while IFS= read -r text; do report notice "$text"; done
  elif present; then
    report present yes
  fi
}

# Tells what apply would refuse.
rehearse_part() { # OWNER
  begin
  refusal=$(out_of_place "$@")
  if [ -n "$refusal" ] || ! refusal=$(rehearse "$1"); then
    report refuse "$refusal"
  fi
}

# Prints what apply would refuse.
rehearse() { # OWNER
  # A shell's trap may still have the redirection of the command that it ended.
  exec 3>&1 >/dev/null 2>&1
  trap 'printf %s "${said:-cannot tell; see what up says}" >&3' EXIT
  read -r own_process rest </proc/self/stat
  able
  only_ours "$1"
  preflight
  closed_to_others
}

report() { printf 'metrics-tunnel\t%s\t%s\t%s\n' "$PART" "$1" "$2"; }

# Reads lines; prints each as a fact.
fact() { # KIND, and what else stands before each, behind \t
  awk -v kind="$1" '{ print "metrics-tunnel\tfact\t" kind "\t" $0 }'
}
