#!/bin/sh
# What a look and a rehearsal of `up` have in common: how they tell. The machine is read alone, and
# nothing on it is changed.

# How the line of a fact begins, as find, stat, awk and printf read it: a fact that one of these
# prints by itself is a process less.
FACT='metrics-tunnel\tfact'

# Tells each folder that is not as it should be, and what is said of it.
folder_drift() {
  wrong_folders | while read -r folder mode owner mended; do
    if [ -n "$mended" ]; then
      text="$folder has mode and owner $mode $owner instead of $mended root"
    else
      text=$(open_to_others "$folder" "$mode" "$owner")
    fi
    printf '%b\tfolder\t%s\t%s\n' "$FACT" "$folder" "$text"
  done
}

# Tells what apply would refuse.
rehearse_part() { # OWNER
  begin
  refusal=$(out_of_place "$@")
  if [ -n "$refusal" ] || ! refusal=$(rehearse "$1"); then
    printf 'metrics-tunnel\t%s\trefuse\t%s\n' "$PART" "$refusal"
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

# Reads lines; prints each as a fact, with what it is a fact of before it, as a unit or a part.
fact() { # KIND [OF]
  OF="${2-}" awk -v fact="$FACT\t$1\t" '
    BEGIN { of = ENVIRON["OF"] == "" ? "" : ENVIRON["OF"] "\t" }
    { print fact of $0 }'
}
