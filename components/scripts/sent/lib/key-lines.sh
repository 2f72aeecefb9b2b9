public_key_in(){
echo "${1#* }"
}
key_in(){
before_name=${1% *}
echo "${before_name##* }"
}
key_type(){
before_name=${1% *}
before_key=${before_name% *}
type=${before_key##* }
echo "${type:-${KEY_TYPE-}}"
}
places_opened_by(){
printf '%s\n' "$1"|grep -o '127\.0\.0\.1:[0-9]*'||:
}
refuse_silent_ports(){
for place in $(places_opened_by "$1");do
case $2 in
*"\"$place\""*)continue
esac
port=${place#*:}
[ -n "$(ss -Hltn "sport = :$port")" ]||fail "nothing listens on port $port; start the exporter, or give its port"
done
}
our_lines(){
lines_by_whose 1 "$1"
}
other_lines(){
lines_by_whose 0 "$1"
}
lines_by_whose(){
awk -v ours="$1" -v name="$ID" -v key="$(key_in "$2")" '
    ($NF == name || (index($0, key) && !/^restrict,.* metrics-tunnel-[^ ]*$/)) == ours'
}
