#!/bin/sh
# On a host: one server's key line in the authorized_keys of a user who is there already. sshd's drop-in is not for this
# user, whose shell it would cut: the line's own options are the limits. The user's files are read and written as the
# user, never as root, so that a link put in the way leads nowhere that the user may not go.
# Values: LOGIN, ID (the line's comment), LINE (the whole line), KEY_TYPE (of a key that is not made yet), FROM (addresses
# that the key is used from, as far as they are known), HERE and SSH_PORT (where it logs in to).
# Own: home and keys_file (the user's), made_note (ours, says that keys_file is ours, and its folder where that is).
# Uses: core receipt files process sshd login-rules key-lines sessions

paths() {
  home=$(getent passwd $LOGIN | cut -d: -f6)
  keys_file=$home/.ssh/authorized_keys
  made_note=$STORE/made-for-$LOGIN
}

as() { runuser -u $LOGIN -- "$@"; }

preflight() {
  paths
  problem=$(what_keeps_out | head -n 1)
  [ -z "$problem" ] || fail "$problem, or leave login out"
  read_keys
  listened "$(kept line && printf %s "$content")"
}

# Says what keeps the key out of this machine.
what_keeps_out() {
  if ! [ -d "$home" ]; then
    echo "no user $LOGIN with a home here; create it"
    return
  fi
  for path in "$home" "$home/.ssh" "$keys_file"; do
    untrusted "$path"
  done
  shut_out
  if complaint=$(sshd -t 2>&1); then
    for origin in $(printf '%s\n' 127.0.0.1 ${FROM-} | origins); do
      settings=$(effective $origin)
      found=$(problems $origin)
      if [ -n "$found" ]; then
        printf '%s\n' "$found"
        return
      fi
    done
  else
    echo "sshd's configuration is invalid, mend it: $complaint"
  fi
}

# Says what of a file or folder sshd's StrictModes refuses, and that it is a link.
untrusted() { # PATH
  about=$(stat -c '%U %A' "$1" 2>/dev/null) || return 0
  mode=${about#* }
  case $about in
  *' l'*) echo "$1 is a link, through which no key is put; put a file or folder of $LOGIN's own in its place" ;;
  "$LOGIN "[d-]????-??-?*) ;;
  "$LOGIN "*) echo "$1 is for others to write ($mode), and sshd does not trust it; chmod go-w $1" ;;
  *) echo "$1 belongs to ${about% *}, and sshd trusts $LOGIN's own alone; chown $LOGIN $1" ;;
  esac
}

# What of sshd's `settings` keeps the key out, or its forward.
problems() { # ORIGIN
  case $1 in 127.0.0.1,*) who= ;; *) who=" from ${1%,*}" ;; esac
  printf '%s\n' "$settings" | while read -r keyword value; do
    case $keyword,$value in
    authorizedkeysfile,*)
      reads_keys_file "$value" || echo "sshd does not read $keys_file; name it in AuthorizedKeysFile"
      ;;
    allowtcpforwarding,no | allowtcpforwarding,remote)
      echo "sshd lets $LOGIN$who forward nothing; set AllowTcpForwarding local for that user"
      ;;
    disableforwarding,yes) echo "sshd lets $LOGIN$who forward nothing; set DisableForwarding no for that user" ;;
    pubkeyauthentication,no) echo "sshd lets $LOGIN$who in by no key; set PubkeyAuthentication yes for that user" ;;
    authenticationmethods,*)
      is_like " $value " '* any *' || is_like " $value " '* publickey *' ||
        echo "sshd wants more of $LOGIN$who than a key; add publickey to AuthenticationMethods for that user"
      ;;
    permitopen,*)
      for place in $(not_opened "$value"); do
        echo "sshd does not let $LOGIN$who reach $place; add it to PermitOpen for that user"
      done
      ;;
    esac
  done
  for list in $(printf '%s\n' "$settings" | keeps_out ${1%,*}); do
    echo "sshd keeps user $LOGIN out $(let_in $list)"
  done
  type=$(key_type)
  [ -z "$type" ] || printf '%s\n' "$settings" | takes_type $type || no_such_keys $type
}

reads_keys_file() { # PATTERNS, of the user's home where they are no paths
  for pattern in $1; do
    case $pattern in
    "$keys_file" | .ssh/authorized_keys | %h/.ssh/authorized_keys) return ;;
    */%u/.ssh/authorized_keys) [ "${pattern%%/%u/*}/$LOGIN/.ssh/authorized_keys" != "$keys_file" ] || return 0 ;;
    esac
  done
  false
}

# Prints which of the line's places PermitOpen leaves out.
not_opened() { # PERMITTED
  for place in $(line_ports); do
    case " $1 " in
    *' any '* | *" $place "* | *" 127.0.0.1:* "* | *" *:${place#*:} "*) ;;
    *) echo $place ;;
    esac
  done
}

# Reads the file as its user. What the user's shell, PAM or anything else prints before or after is none of it.
# Sets: content, byte for byte with an x behind; the x alone where there is no file.
read_keys() {
  begin="--- metrics-tunnel $$ begins"
  end="--- metrics-tunnel $$ ends"
  content=$(
    as sh -c '[ -e "$1" ] || [ -L "$1" ] || set -- /dev/null "$2" "$3"
printf "%s\n" "$2" && cat "$1" && printf %s "$3"' - "$keys_file" "$begin" "$end"
  ) || content=
  case $content in
  *"$begin
"*"$end"*) ;;
  *) fail "cannot read $keys_file as $LOGIN; see what keeps that user from it, or leave login out" ;;
  esac
  content=${content#*"$begin
"}
  content=${content%"$end"*}x
}

change() {
  read_keys
  old_content=$content
  old_line=$(kept line)
  new_line=$LINE
  LINE=$old_line
  drift=$(printf %s "${content%x}" | line_drift "$keys_file")
  LINE=$new_line
  joined=$(kept joined)
  case $content in x) ;; *'
x') ;; *) joined=joined ;; esac
  created=no
  if [ "$content" = x ] && ! as test -e "$keys_file"; then
    # First what says that it is ours.
    created=yes
    made_folder=
    as test -e "$home/.ssh" || made_folder=$home/.ssh
    mkdir -p $STORE
    [ -e $made_note ] || echo "$made_folder" >$made_note
    [ -z "$made_folder" ] || as mkdir -m 700 "$made_folder"
  fi
  write_keys "$(
    printf %s "${content%x}" | other_lines
    echo "$LINE"
  )
"
  # What a session may do sshd reads as it begins: one that began while the line was not ours would keep that.
  if [ -n "$old_line" ] && { [ -n "$drift" ] || [ "${old_line#* }" != "${LINE#* }" ]; }; then
    end_sessions told ${old_line#* }
  fi
}

# Replaces the file as the user, with its mode, and reads it again.
write_keys() { # TEXT
  printf %s "$1" | as sh -c 'umask 77
cd "${1%/*}" && rm -f .mt-new && { [ ! -e authorized_keys ] || cp -p authorized_keys .mt-new; } && cat >.mt-new &&
mv .mt-new authorized_keys || { rm -f .mt-new && false; }' - "$keys_file"
  read_keys
  [ "$content" = "$1x" ] || fail "$keys_file does not hold what was written to it; see who else writes it"
}

record() {
  keep line "$LINE"
  keep joined "$joined"
}

undo() {
  case ${created-} in
  yes) take_away ;;
  no) write_keys "${old_content%x}" ;;
  esac
}

# Takes away the file and, where we made it, its folder.
take_away() {
  as rm -f "$keys_file" "$home/.ssh/.mt-new"
  made_folder=$(cat $made_note)
  [ -z "$made_folder" ] || as rmdir "$made_folder" || :
  rm -f $made_note
}

restore() {
  paths
  [ -d "$home" ] || { rm -f $made_note && return; }
  # Of a run that was killed.
  as rm -f "$home/.ssh/.mt-new"
  read_keys
  old_content=$content
  left=$(printf %s "${content%x}" | other_lines && echo x)
  left=${left%x}
  case $(kept joined),$content in
  joined,*" $ID
x") left=${left%?} ;;
  esac
  if [ -z "$left" ] && [ -e $made_note ]; then
    take_away
  elif printf %s "$old_content" | grep -q " $ID\$"; then
    write_keys "$left"
    # It is for the last line of ours.
    printf %s "$left" | grep -q ' metrics-tunnel-[^ ]*$' || rm -f $made_note
  fi
  end_sessions told ${LINE#* }
}
