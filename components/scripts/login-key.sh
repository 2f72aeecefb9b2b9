#!/bin/sh
# On a host: one server's key line in the authorized_keys of a user who is there already. sshd's drop-in is not for this
# user, whose shell it would cut: the line's own options are the limits. The user's files are read and written as the
# user, never as root, so that a link put in the way leads nowhere that the user may not go.
# Values: LOGIN, ID (the line's comment), LINE (the whole line).

paths() {
  H=$(getent passwd $LOGIN | cut -d: -f6)
  F=$H/.ssh/authorized_keys
  MADE=$STORE/made-for-$LOGIN
}

as() { runuser -u $LOGIN -- "$@"; }

preflight() {
  paths
  [ -d "$H" ] || fail "no user $LOGIN with a home here; create it, or leave login out"
  for P in "$H" "$H/.ssh" "$F"; do
    W=$(stat -c '%U %A' "$P") || continue
    # What sshd's StrictModes refuses, and links.
    case $W in "$LOGIN "[d-]????-??-?*) ;; *) fail "$P ($W) is a link, not $LOGIN's own, or for others to write; mend that, or leave login out" ;; esac
  done
  W=$(effective) || fail "sshd's configuration is invalid already; see: sshd -t"
  case $W in *'authorizedkeysfile '*.ssh/authorized_keys*) ;; *) fail "sshd does not read $F; name it in AuthorizedKeysFile, or leave login out" ;; esac
  ! echo "$W" | grep -x -e 'allowtcpforwarding no' -e 'allowtcpforwarding remote' -e 'disableforwarding yes' ||
    fail "sshd lets $LOGIN forward nothing; set AllowTcpForwarding local, or leave login out"
  listened "$(kept line && content)"
}

# The file, byte for byte, and an x; the x alone where it is not there.
content() { as sh -c 'cat "$1"; echo x' - "$F"; }

change() {
  OLD=$(content)
  J=$(kept joined)
  case $OLD in x) ;; *'
x') ;; *) J=joined ;; esac
  NEW=no
  if [ "$OLD" = x ] && ! as test -e "$F"; then
    # First what says that it is ours.
    NEW=yes
    W=
    as test -e "$H/.ssh" || W=$H/.ssh
    mkdir -p $STORE
    [ -e $MADE ] || echo "$W" >$MADE
    [ -z "$W" ] || as mkdir -m 700 "$W"
  fi
  write "$(
    others
    echo "$LINE"
  )
"
  W=$(kept line)
  case ${W#* } in '' | "${LINE#* }") ;; *) end_sessions ! "${W#* }" ;; esac
}

# The other lines. One with our key and no name of ours is none: it would lift the limits.
others() {
  W=${LINE% *}
  printf %s "${OLD%x}" | awk -v i=$ID -v k="${W##* }" '$NF!=i&&(!index($0,k)||/^restrict,.* metrics-tunnel-[^ ]*$/)'
}

# Replaces the file as the user, with its mode.
write() { # TEXT
  printf %s "$1" | as sh -c 'umask 77
cd "${1%/*}" && rm -f .mt-new && { [ ! -e authorized_keys ] || cp -p authorized_keys .mt-new; } && cat >.mt-new && mv .mt-new authorized_keys || { rm -f .mt-new && false; }' - "$F"
}

record() {
  keep line "$LINE"
  keep joined "$J"
}

undo() {
  case ${NEW-} in
  yes) take_away ;;
  no) write "${OLD%x}" ;;
  esac
}

# Takes away the file and, where we made it, its folder.
take_away() {
  as rm -f "$F" "$H/.ssh/.mt-new"
  W=$(cat $MADE)
  [ -z "$W" ] || as rmdir "$W" || :
  rm -f $MADE
}

restore() {
  paths
  [ -d "$H" ] || { rm -f $MADE && return; }
  # Of a run that was killed.
  as rm -f "$H/.ssh/.mt-new"
  OLD=$(content)
  W=$(others && echo x)
  W=${W%x}
  case $(kept joined),$OLD in
  joined,*" $ID
x") W=${W%?} ;;
  esac
  if [ -z "$W" ] && [ -e $MADE ]; then
    take_away
  elif printf %s "$OLD" | grep -q " $ID\$"; then
    write "$W"
    # It is for the last line of ours.
    echo "$W" | grep -q ' metrics-tunnel-[^ ]*$' || rm -f $MADE
  fi
  end_sessions ! "${LINE#* }"
}

present() {
  paths
  content | grep -q " $ID\$"
}

check() {
  paths
  OLD=$(content)
  LINE=$(kept line)
  W=${LINE% *}
  [ "$(printf %s "${OLD%x}" | grep -F -e "${W##* }" -e " $ID" | grep -v "^restrict,.* metrics-tunnel-[^ ]*\$" || :)$(printf %s "${OLD%x}" | grep " $ID\$")" = "$LINE" ] ||
    echo "the key's line in $F is missing, changed or not alone"
  W=$(rehearse) || echo "$W"
}
