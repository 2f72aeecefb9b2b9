#!/bin/sh
# Files that are replaced whole and put back byte for byte, and the folders on the way to them.
#
# Beside a FILE in work stand FILE.mt-old, a copy of what was there before, and FILE.mt-new, what is
# to come in its place. Both go as the run ends. A copy stays where it could not be put back, and
# where the run was killed (see lib/core.sh).

# --- Changing files.

# Replaces a file whole, mode and owner too. Where its text stays, so does its time.
# Sets: text_changed (not empty where the text differs), and what remember sets
put() { # PATH TEXT
  remember "$1"
  { printf '%s\n' "$2" >"$1.mt-new"; } 2>/dev/null || full "$1"
  if ! cmp -s "$1.mt-new" "$1" || ! touch -r "$1" "$1.mt-new"; then
    text_changed=1
  fi
  replace "$1" "$1.mt-new"
  label "$1"
}

# Moves a file into the place of another, once its text is on the disk: of one that is moved before,
# a power cut may leave nothing.
replace() { # PATH FILE
  sync "$2" 2>/dev/null || :
  mv -fT "$2" "$1"
}

# Copies a file or folder for finish, if it is there: to put it back needs no space then. Half a
# copy must not be put back.
# Sets: path_in_work (while it is copied, and until the next one), undo_paths (all that are)
remember() { # PATH
  path_in_work=$1
  # Of a run that was killed.
  rm -rf "$1.mt-old"
  ! there "$1" || cp -aT "$1" "$1.mt-old" 2>/dev/null || full "$1"
  undo_paths="$undo_paths $1"
}

full() { # PATH
  fail "cannot write $1; see: df -h, mount"
}

# A link that leads nowhere is there too.
there() { # PATH
  [ -e "$1" ] || [ -L "$1" ]
}

# Where there is SELinux, a file wants the label of its place.
label() { # PATH
  restorecon "$1" 2>/dev/null || :
}

# Takes files away, and the copies that a killed run has left. False where one cannot be.
away() { # PATHS
  while [ $# -gt 0 ]; do
    rm -rf "$1" "$1".mt-* || return 1
    shift
  done
}

# Writes into the receipt what these files are like now.
manifest() { # FILES
  keep manifest "$(stat -c '%a %U %n' "$@" && sha256sum "$@")"
}

# --- Putting back.

# Puts the files back that this apply has changed.
# Sets: not_back (those that could not be; their copies stay)
put_back() {
  not_back=
  for path in $undo_paths; do
    if is_copy "$path" "$path.mt-old"; then
      # Nothing has come of the change, and so nothing is to be put back.
      rm -f "$path.mt-old"
    elif there "$path.mt-old"; then
      replace "$path" "$path.mt-old" || not_back="$not_back $path"
    else
      # Its folder has to be empty for undo.
      away "$path" || not_back="$not_back $path"
    fi
  done
  drop_copies
  # What another run copies from now on is that run's.
  undo_paths=
  path_in_work=
}

# Whether a file is there as it was copied: text, mode, owner and time.
is_copy() { # FILE COPY
  [ -f "$1" ] && [ -f "$2" ] && cmp -s "$1" "$2" &&
    [ "$(stat -c '%a %u %g %Y' "$1")" = "$(stat -c '%a %u %g %Y' "$2")" ]
}

drop_copies() {
  for path in $undo_paths $path_in_work; do
    case " ${not_back-} " in
    *" $path "*) ;;
    *) rm -rf "$path".mt-* ;;
    esac
  done
}

# What is there now stays: nothing that this apply has changed so far is put back.
forget_copies() {
  drop_copies
  undo_paths=' '
  path_in_work=
}

# --- Folders.

# The folders on the way to files, each once.
folders_of() { # FILES
  for path in "$@"; do
    case $path in
    /*) ;;
    *) continue ;;
    esac
    folder=${path%/*}
    while [ -n "$folder" ]; do
      echo "$folder"
      case $folder in
      /etc | /var/lib) break ;;
      esac
      folder=${folder%/*}
    done
  done | sort -u
}

# Prints a line for each folder on the way to this part's files that has a mode or an owner that it
# should not have: path, mode, owner, and for one of ours the mode that it gets. Who may write to a
# folder may put another file in a file's place, and sshd takes no key below one; Prometheus and
# sshd have to get to what is theirs.
wrong_folders() {
  # shellcheck disable=SC2046 # lists of folders and of files
  stat -Lc '%a %U %n' $(folders_of "$RECEIPT/owners/x" $(places)) 2>/dev/null |
    while read -r mode owner folder; do
      may_not=022
      must=0
      mended=
      case $folder in
      /etc/metrics-tunnel/keys)
        may_not=077
        must=0700
        mended=700
        ;;
      /etc/metrics-tunnel | /etc/metrics-tunnel/* | "$STORE" | "$STORE"/*)
        must=0755
        mended=755
        ;;
      /etc/ssh/authorized_keys.d)
        must=0111
        mended=755
        ;;
      esac
      if [ "$owner" != root ] || [ $((0$mode & may_not)) != 0 ] ||
        [ $((0$mode & must)) != $((must)) ]; then
        echo "$folder $mode $owner $mended"
      fi
    done
}

open_to_others() { # FOLDER MODE OWNER
  echo "others than root may write to $1 (mode and owner $2 $3);" \
    "mend that: chown root $1; chmod go-w $1"
}

# Refuses where a folder that is not ours lets others put their files in the place of ours.
closed_to_others() {
  open=$(wrong_folders | grep ' $' | head -n 1)
  if [ -n "$open" ]; then
    # shellcheck disable=SC2086 # a folder, its mode and its owner
    fail "$(open_to_others $open)"
  fi
}

mend_folders() {
  wrong_folders | while read -r folder mode owner mended; do
    chown root "$folder"
    chmod "$mended" "$folder"
  done
}
