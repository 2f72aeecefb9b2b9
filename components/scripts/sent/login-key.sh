paths(){
home=$(getent passwd "$LOGIN"|cut -d: -f6)
keys_file=$home/.ssh/authorized_keys
made_note=$STORE/made-for-$LOGIN
}
as_login(){ runuser -u "$LOGIN" -- "$@";}
preflight(){
paths
know_sshd
problem=$(what_keeps_out "$LINE"|head -n 1)
[ -z "$problem" ]||fail "$problem, or leave login out"
read_keys
refuse_silent_ports "$LINE" "$(kept line&&printf %s "$content")"
}
what_keeps_out(){
if ! [ -d "$home" ];then
echo "no user $LOGIN with a home here; create it"
return
fi
for path in "$home" "$home/.ssh" "$keys_file";do
say_untrusted "$path"
done
shut_out
if ! complaint=$(sshd -t 2>&1);then
echo "sshd's configuration is invalid, mend it: $complaint"
return
fi
for origin in $(printf '%s\n' 127.0.0.1 ${FROM-}|origins);do
settings=$(settings_for "$origin")
found=$(problems "$origin" "$settings" "$1")
if [ -n "$found" ];then
printf '%s\n' "$found"
return
fi
done
}
say_untrusted(){
owner_and_mode=$(stat -c '%U %A' "$1" 2>/dev/null)||return 0
owner=${owner_and_mode% *}
mode=${owner_and_mode#* }
case $mode in
l*)echo "$1 is a link, through which no key is put;" \
"put a file or folder of $LOGIN's own in its place"
return
esac
if [ "$owner" != "$LOGIN" ];then
echo "$1 belongs to $owner, and sshd trusts $LOGIN's own alone; chown $LOGIN $1"
return
fi
case $mode in
[d-]????-??-?*);;
*)echo "$1 is for others to write ($mode), and sshd does not trust it; chmod go-w $1"
esac
}
problems(){
case $1 in
127.0.0.1,*)whom=$LOGIN;;
*)whom="$LOGIN from ${1%,*}"
esac
printf '%s\n' "$2"|while read -r keyword value;do
say_problem "$keyword" "$value" "$whom" "$3"
done
say_lists_that_keep_out "${1%,*}" "$2"
say_type_that_is_not_taken "$(key_type "$3")" "$2"
}
say_problem(){
case $1,$2 in
authorizedkeysfile,*)reads_keys_file "$2"||echo "sshd does not read $keys_file; name it in AuthorizedKeysFile"
;;
allowtcpforwarding,no|allowtcpforwarding,remote)echo "sshd lets $3 forward nothing; set AllowTcpForwarding local for that user"
;;
disableforwarding,yes)echo "sshd lets $3 forward nothing; set DisableForwarding no for that user"
;;
pubkeyauthentication,no)echo "sshd lets $3 in by no key; set PubkeyAuthentication yes for that user"
;;
authenticationmethods,*)is_like " $2 " '* any *'||is_like " $2 " '* publickey *'||echo "sshd wants more of $3 than a key;" \
"add publickey to AuthenticationMethods for that user"
;;
permitopen,*)for place in $(places_not_permitted "$4" "$2")
do
echo "sshd does not let $3 reach $place; add it to PermitOpen for that user"
done
esac
}
reads_keys_file(){
for pattern in $1;do
case $pattern in
"$keys_file"|.ssh/authorized_keys|%h/.ssh/authorized_keys)return 0;;
*/%u/.ssh/authorized_keys)if
[ "${pattern%%/%u/*}/$LOGIN/.ssh/authorized_keys" = "$keys_file" ]
then
return 0
fi
esac
done
false
}
places_not_permitted(){
for place in $(places_opened_by "$1");do
case " $2 " in
*' any '*|*" $place "*|*" 127.0.0.1:* "*|*" *:${place#*:} "*);;
*)echo "$place"
esac
done
}
read_keys(){
begin="--- metrics-tunnel $$ begins"
end="--- metrics-tunnel $$ ends"
content=$(as_login sh -c '
      if [ ! -e "$1" ] && [ ! -L "$1" ]; then
        set -- /dev/null "$2" "$3"
      fi
      printf "%s\n" "$2" && cat "$1" && printf %s "$3"' - "$keys_file" "$begin" "$end")||content=
case $content in
*"$begin
"*"$end"*);;
*)fail "cannot read $keys_file as $LOGIN;" \
"see what keeps that user from it, or leave login out"
esac
content=${content#*"$begin
"}
content=${content%"$end"*}x
}
write_keys(){
printf %s "$1"|as_login sh -c '
    umask 77
    replace() {
      cd "${1%/*}" && rm -f .mt-new || return 1
      if [ -e authorized_keys ]; then
        cp -p authorized_keys .mt-new || return 1
      fi
      cat >.mt-new || return 1
      # Of a file that is not on the disk yet a power cut may leave nothing.
      sync .mt-new 2>/dev/null
      mv .mt-new authorized_keys
    }
    if ! replace "$1"; then
      rm -f .mt-new
      exit 1
    fi' - "$keys_file"
read_keys
[ "$content" = "$1x" ]||fail "$keys_file does not hold what was written to it; see who else writes it"
}
change(){
read_keys
old_content=$content
old_line=$(kept line)
lines_before=$(printf %s "${content%x}"|our_lines "$old_line")
joined=$(kept joined)
if lacks_last_newline "$content";then
joined=joined
fi
made_file=no
if [ "$content" = x ]&&! as_login test -e "$keys_file";then
made_file=yes
note_what_we_make
fi
write_keys "$(printf %s "${content%x}"|other_lines "$LINE"
echo "$LINE")
"
if [ -n "$old_line" ];then
end_sessions_of_before "$old_line" "$lines_before"
fi
}
end_sessions_of_before(){
old_key=$(public_key_in "$1")
if [ "$2" != "$1" ]||[ "$old_key" != "$(public_key_in "$LINE")" ];then
end_sessions told "$old_key"
fi
}
lacks_last_newline(){
case $1 in
x)false;;
*'
x')false;;
*)
esac
}
note_what_we_make(){
made_folder=
if ! as_login test -e "$home/.ssh";then
made_folder=$home/.ssh
fi
mkdir -p "$STORE"
[ -e "$made_note" ]||echo "$made_folder" >"$made_note"
if [ -n "$made_folder" ];then
as_login mkdir -m 700 "$made_folder"
fi
}
record(){
keep line "$LINE"
keep joined "$joined"
}
undo(){
case ${made_file-} in
yes)take_file;;
no)write_keys "${old_content%x}"
esac
}
take_file(){
as_login rm -f "$keys_file" "$home/.ssh/.mt-new"
made_folder=$(cat "$made_note")
[ -z "$made_folder" ]||as_login rmdir "$made_folder"||:
rm -f "$made_note"
}
restore(){
paths
if [ ! -d "$home" ];then
rm -f "$made_note"
return
fi
as_login rm -f "$home/.ssh/.mt-new"
read_keys
old_content=$content
left=$(left_without_ours)
left=${left%x}
if [ -z "$left" ]&&[ -e "$made_note" ];then
take_file
elif printf %s "$old_content"|grep -q " $ID\$";then
write_keys "$left"
printf %s "$left"|grep -q ' metrics-tunnel-[^ ]*$'||rm -f "$made_note"
fi
end_sessions told "$(public_key_in "$LINE")"
}
left_without_ours(){
others=$(printf %s "${content%x}"|other_lines "$LINE"&&echo x)
others=${others%x}
case $(kept joined),$content in
joined,*" $ID
x")others=${others%?}
esac
printf %sx "$others"
}
