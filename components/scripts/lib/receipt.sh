#!/bin/sh
# What a part leaves in its receipt, /var/lib/metrics-tunnel/<part>: who has applied it, and what
# its script has to know later.
#
# A part may have several owners, each with a file in the receipt's folder owners:
#   owner          <project>:<stack>.<resource>.<instance>
#   name of file   <project>:<stack>.<resource>: what replaces an instance takes over its file
#   text of file   <owner> <generation>, of the owner's last apply that was proven

# --- An owner's name.

# An owner, an owner's file or the stack of one, in its two forms, a line each: the one of today and
# that of releases up to 0.1.0, which left the project out.
forms_of() { # OWNER | FILE | STACK
  printf '%s\n' "$1" "${1#*:}"
}

# Whether the first is one of the two forms of the second.
is_form_of() { # two OWNERS, two FILES, or two STACKS
  for form in $(forms_of "$2"); do
    [ "$form" != "$1" ] || return 0
  done
  false
}

file_of() { # OWNER
  echo "${1%.*}"
}

# With its project, where the file has that.
stack_of() { # FILE
  echo "${1%.*}"
}

# --- Who has applied this part.

# The names of all owners' files, a line each.
owner_files() {
  ls "$RECEIPT/owners" 2>/dev/null || :
}

# The owner in the form in which the receipt names it; nothing where it names another instance.
recorded_as() { # OWNER
  for form in $(forms_of "$1"); do
    case $(kept "owners/$(file_of "$form")") in
    "$form "*)
      echo "$form"
      return
      ;;
    esac
  done
}

# Whether a file of the owner's is there and holds nothing that we have written, as after a power
# cut. Nobody knows then which instance it named.
damaged() { # OWNER
  for form in $(forms_of "$1"); do
    file=$(file_of "$form")
    [ -e "$RECEIPT/owners/$file" ] || continue
    case $(kept "owners/$file") in
    "$file."?*' '?*) ;;
    *) return 0 ;;
    esac
  done
  false
}

# What others than this owner have recorded here, a line each: with each apply of theirs that was
# proven it is another generation.
recorded_by_others() { # OWNER
  for file in $(owner_files); do
    is_form_of "$file" "$(file_of "$1")" || echo "$file $(kept "owners/$file")"
  done
}

# Refuses what a stack of the same name in another project has applied: the two would undo each
# other. What stacks share they may.
only_ours() { # OWNER
  ! shared || return 0
  for file in $(owner_files); do
    if is_of_this_stack "$file" &&
      ! is_form_of "$(stack_of "$file")" "$(stack_of "$(file_of "$1")")"; then
      fail "project ${file%%:*} has a stack $STACK too, and this is its; rename one of the two" \
        "stacks (pulumi stack rename), or take this out there"
    fi
  done
}

# Whether the receipt is one of this stack's, or of one of the same name.
held_by_this_stack() {
  for file in $(owner_files); do
    ! is_of_this_stack "$file" || return 0
  done
  false
}

# By the stack's name alone: its project may be another one.
is_of_this_stack() { # FILE
  is_form_of "$STACK" "$(stack_of "$1")"
}

# --- What is written there.

# An owner that an earlier release has recorded has one file from now on.
record_owner() { # OWNER GENERATION
  keep "owners/$(file_of "$1")" "$1 $2"
  for form in $(forms_of "$1"); do
    [ "$form" = "$1" ] || rm -f "$RECEIPT/owners/$(file_of "$form")"
  done
}

forget_owner() { # OWNER
  for form in $(forms_of "$1"); do
    rm -f "$RECEIPT/owners/$(file_of "$form")"
  done
}

# Of a first apply that failed nothing is kept.
forget_first_apply() {
  rm -f "$RECEIPT/.new"
  if rmdir "$RECEIPT/owners" 2>/dev/null; then
    rm -r "$RECEIPT"
  fi
}

# Puts a text into the receipt, for a later run.
keep() { # NAME TEXT
  mkdir -p "$RECEIPT/owners"
  printf '%s\n' "$2" >"$RECEIPT/.new"
  replace "$RECEIPT/$1" "$RECEIPT/.new"
}

# What was put there; nothing where that is nothing.
kept() { # NAME
  cat "$RECEIPT/$1" 2>/dev/null || :
}
