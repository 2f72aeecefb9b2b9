#!/bin/sh
# What a part leaves in /var/lib/metrics-tunnel/<part>: who owns it, and what its script has to know later.
# An owner is <project>:<stack>.<resource>.<instance>. Its file in the receipt is called as it is, less the instance, and
# holds it and the generation. Releases up to 0.1.0 left the project out.

# Whether a file of OWNER is there and holds nothing that we have written, as after a power cut.
damaged() {
  for file in $(own_files); do
    [ -e "$RECEIPT/owners/$file" ] || continue
    case $(kept "owners/$file") in "$file."?*' '?*) ;; *) return 0 ;; esac
  done
  false
}

# The names of OWNER's file, of today and of releases up to 0.1.0.
own_files() { printf '%s\n' "${OWNER%.*}" "$(without_project "${OWNER%.*}")"; }

# What other resources have recorded here: each apply of theirs that was proven writes another generation.
recorded_by_others() {
  { owner_files | grep -vxF "$(own_files)" || :; } | while read -r file; do
    echo "$file $(kept "owners/$file")"
  done
}

# The names of the owners' files in the receipt, a line each.
owner_files() { ls "$RECEIPT/owners" 2>/dev/null || :; }

# The owner as releases up to 0.1.0 wrote it.
without_project() { echo "${1#*:}"; }

# OWNER as the receipt names it, in the form of today or of earlier releases; nothing where it names another instance.
recorded_as() { # OWNER
  for form in "$1" "$(without_project "$1")"; do
    case $(kept "owners/${form%.*}") in
    "$form "*)
      echo "$form"
      return
      ;;
    esac
  done
}

# Whether the receipt is one of this stack's.
held_by_this_stack() {
  for file in $(owner_files); do
    case ${file%.*} in "$STACK" | *":$STACK") return 0 ;; esac
  done
  false
}

# Refuses what a stack of the same name in another project has applied: the two would undo each other.
only_ours() { # OWNER
  ! shared || return 0
  for file in $(owner_files); do
    case ${file%.*} in
    "${1%.*.*}" | "$STACK") ;;
    *":$STACK") fail "project ${file%%:*} has a stack $STACK too, and this is its; rename one of the two stacks (pulumi stack rename), or take this out there" ;;
    esac
  done
}

# Of a first apply that failed nothing is kept.
forget_first_apply() {
  rm -f "$RECEIPT/.new"
  if rmdir "$RECEIPT/owners" 2>/dev/null; then
    rm -r "$RECEIPT"
  fi
}

keep() { # NAME TEXT, into the receipt
  mkdir -p $RECEIPT/owners
  printf '%s\n' "$2" >$RECEIPT/.new
  mv $RECEIPT/.new $RECEIPT/$1
}

kept() { cat $RECEIPT/$1 2>/dev/null || :; }
