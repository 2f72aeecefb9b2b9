preflight(){
command -v ssh-keygen >/dev/null||fail "no ssh-keygen here; install the OpenSSH client"
is_ours_or_none||fail "$KEY is there and not from this stack; move it away"
}
is_ours_or_none(){
[ ! -e "$KEY" ]||[ -d "$RECEIPT" ]||grep -qs " $COMMENT$" "$KEY.pub"
}
change(){
mkdir -p -m 700 "${KEY%/*}"
remember "$KEY"
new_key=$KEY.mt-new
write_key
! cmp -s "$new_key" "$KEY"||touch -r "$KEY" "$new_key"
put "$KEY.pub" "$(echo "$public_key"|cut -d' ' -f1,2) $COMMENT"
replace "$KEY" "$new_key"
label "$KEY"
}
write_key(){
if [ -n "$PRIVATE_KEY" ];then
printf '%s\n' "$PRIVATE_KEY" >"$new_key"
elif [ -e "$KEY" ];then
cp "$KEY" "$new_key"
fi
public_key=$(public_half "$new_key")||{
[ -z "$PRIVATE_KEY" ]||fail "tunnelPrivateKey is no private key without passphrase; give another"
rm -f "$new_key"
ssh-keygen -q -t ed25519 -N '' -f "$new_key"
public_key=$(public_half "$new_key")||fail "ssh-keygen makes no key here; see what it says: ssh-keygen -y -f $KEY"
}
}
public_half(){
(chmod 600 "$1"&&ssh-keygen -y -P '' -f "$1") 2>/dev/null|grep -xE '(ssh|ecdsa)-[a-z0-9-]+ AAAA[A-Za-z0-9+/]+={0,2}( .*)?'
}
record(){
manifest "$KEY" "$KEY.pub"
echo "metrics-tunnel $(cat "$KEY.pub")"
}
places(){ echo "$KEY";}
undo(){
rm -f "$KEY"*.mt-*
drop_folder
}
restore(){
users=$(grep -ls "^LoadCredential=key:$KEY$" /etc/systemd/system/metrics-tunnel-*.service||:)
if [ -n "$users" ];then
fail "$KEY is still used by ${users##*/}; take offline out of that host," \
"or set rotation as it was, then run again"
fi
away "$KEY" "$KEY.pub"
drop_folder||:
}
drop_folder(){
rmdir -p "${KEY%/*}" 2>/dev/null
}
