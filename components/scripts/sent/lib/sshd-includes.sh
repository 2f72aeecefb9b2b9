config_with_ours(){
dropin_file=$1
set -f
while IFS= read -r line||[ -n "$line" ];do
set -- $line
case ${1-} in
[Ii][Nn][Cc][Ll][Uu][Dd][Ee])shift
for word in "$@";do
included_by "$word" "$dropin_file"
done
;;
*)printf '%s\n' "$line"
esac
done </etc/ssh/sshd_config
set +f
}
included_by(){
pattern=${1#\"}
pattern=${pattern%\"}
case $pattern in
/*);;
*)pattern=/etc/ssh/$pattern
esac
if [ "${pattern%/*}" = "${2%/*}" ]&&is_like "$2" "$pattern";then
{
set +f
ls -d $pattern 2>/dev/null||:
echo "$2"
}|sort -u|sed "s#^#Include #; s#^Include $2\$#Include /dev/fd/2#"
else
echo "Include $pattern"
fi
}
reads_ours(){
case $1 in
*'Include /dev/fd/2'*);;
*)false
esac
}
is_included_further(){
grep -sqi "^[[:space:]]*include.*${2%/*}" /dev/null \
$(printf '%s\n' "$1"|sed -n 's/^Include //p')
}
settings_foreseen(){
settings_for "$1" -f /dev/stdin 2<<DROPIN <<CONFIG
$3
DROPIN
$2
CONFIG
}
disobeyed_lines(){
DROPIN=$1 awk "$DISOBEYED_LINES_AWK"
}
overruled_by(){
config_with_ours "$2"|sed '\#^Include /dev/fd/2$#q'|while IFS= read -r line;do
case $line in
'Include /'*)file=${line#Include }
sed "s#^#$file #" "$file" 2>/dev/null||:
;;
*)printf '%s %s\n' /etc/ssh/sshd_config "$line"
esac
done|awk -v keyword="$1" "$OVERRULING_BLOCK_AWK"
}
