shared(){ true;}
dropin_text(){
prefix=$(exec_prefix "$1")
cat <<DROPIN
# Managed by metrics-tunnel: loopback alone.
[Service]
ExecStart=
ExecStart=$prefix/bin/sh -c ' \\
ours=--web.listen-address=127.0.0.1:$PORT; held=; \\
for word; do \\
shift; \\
case \$\$held:\$\$word in \\
:-web.listen-address | :--web.listen-address) held=\$\$word; continue ;; \\
:-web.listen-address=*:$PORT | :--web.listen-address=*:$PORT | -*:*:$PORT) set -- "\$\$@" \$\$ours; ours= ;; \\
*) set -- "\$\$@" \$\${held:+"\$\$held"} "\$\$word" ;; \\
esac; \\
held=; \\
done; \\
exec "\$\$@" \$\$held \$\$ours' metrics-tunnel $(without_prefix "$1")
DROPIN
}
places(){
closed_unit=${exporter_unit:-$(kept unit)}
[ "$MANAGE" = no ]||[ -z "$closed_unit" ]||dropin_of "$closed_unit"
}
preflight(){
if [ "$MANAGE" = no ];then
find_closed
refuse_not_bound
return 0
fi
find_exporter
find_command
if [ "$(kept command)" != "$unit_command" ]||[ ! -e "$dropin_file" ];then
refuse_without_flag
fi
}
find_exporter(){
unit_that_listens=$(only_unit)
case $unit_that_listens in
*' '*)fail "port $PORT has several owners: $unit_that_listens; give each a port of its own"
esac
case $(listeners) in
*docker-proxy*)refuse_foreign
esac
exporter_unit=${SERVICE:-$(closed_units)}
if [ -z "$exporter_unit" ];then
[ -n "$(listeners)" ]||fail "nothing listens on port $PORT; start the exporter, or give its port"
[ -n "$unit_that_listens" ]||refuse_foreign
exporter_unit=$unit_that_listens
fi
if [ -n "$unit_that_listens" ]&&[ "$unit_that_listens" != "$exporter_unit" ];then
fail "port $PORT is $unit_that_listens's; give that unit"
fi
dropin_file=$(dropin_of "$exporter_unit")
refuse_second_port
}
refuse_second_port(){
others=$(grep -lxsF "$exporter_unit" "$STORE"/exporter-*/unit|grep -vxF "$RECEIPT/unit"||:)
[ -z "$others" ]||fail "$exporter_unit is closed for another port already (${others%/unit});" \
"set manage: false for one of the two"
}
refuse_foreign(){
fail "port $PORT is a container's or socket's, no service's; bind it to 127.0.0.1 there" \
"(docker -p 127.0.0.1:$PORT:$PORT), and set manage: false"
}
by_hand(){
echo "bind it to 127.0.0.1:$PORT by its own settings, and set manage: false for this exporter"
}
find_command(){
unit_command=$(systemctl cat "$exporter_unit" 2>/dev/null|own_command)
case $(without_prefix "$unit_command") in
'')fail "unit $exporter_unit ($(shows "$exporter_unit" LoadState)) has no ExecStart;" \
"unmask it, or give the exporter's unit"
;;
*'
'*|*' ; '*)fail "unit $exporter_unit has several commands in ExecStart; $(by_hand)"
;;
[@:\|]*)fail "unit $exporter_unit has an ExecStart with @ or : or |, which is not served; $(by_hand)"
;;
*systemd-socket*)refuse_foreign
esac
case $(shows "$exporter_unit" FragmentPath) in
/run/systemd/*)fail "unit $exporter_unit is made anew at each start or boot;" \
"write a unit file for it, or $(by_hand)"
esac
}
listeners(){ ss -Hltnp "sport = :$PORT";}
listening_on(){ listeners|local_addresses;}
open_places(){ listening_on|grep -vE '^(127\.|\[::1\]|\[::ffff:127\.)'||:;}
processes(){ awk "$LISTENERS_AWK";}
only_unit(){
owners=$(owners_of_port)
if [ "$(echo "$owners"|cut -d' ' -f1|sort -u|wc -l)" = 1 ];then
echo "$owners"|sed -n '1{s/^- .*//;s/ .*//;p;}'
else
echo "$owners"|sed 's/\([^ ]*\) \([^ ]*\) \(.*\)/\3 (\1) on \2/;s/ (-)/ (no service)/'|paste -sd ,|sed 's/,/, /g'
fi
}
owners_of_port(){
listeners|processes|while read -r process address name;do
its_unit=$(unit_of "$process")
echo "${its_unit:--} $address $name"
done|sort -u
}
closed_units(){
{
find "$(dropin_of "$(kept unit)")" 2>/dev/null||:
closed_ports|sed -n "s/^$PORT //p"
}|sed 's/\.d\/[^/]*$//; s/.*\///'|sort -u
}
exec_prefix(){
echo "${1%%[!+!-]*}"
}
without_prefix(){
printf '%s\n' "${1#"$(exec_prefix "$1")"}"
}
words(){ awk "$WORDS_AWK";}
refuse_without_flag(){
main_process=$(shows "$exporter_unit" MainPID)
look_at_command
if [ -e "/proc/$main_process/root/bin" ]&&[ ! -x "/proc/$main_process/root/bin/sh" ];then
fail "unit $exporter_unit may not run /bin/sh, which our drop-in needs" \
"(RootDirectory, NoExecPaths or the like); $(by_hand)"
fi
[ -z "$scripts" ]||refuse_other_customers
case $unit_command$(cat "/proc/$main_process/environ" 2>/dev/null|tr '\0' '\n') in
*web.systemd-socket*)refuse_foreign;;
*web.listen-address*)return 0
esac
[ -n "$scripts" ]||look_at "/proc/$main_process/exe"
if [ -n "$scripts" ]&&[ -z "$flag_is_known" ];then
look_at_listeners
fi
if [ -z "$flag_is_known" ]&&[ -n "$programs_seen" ];then
refuse_unknown_flag "$program"
fi
for script in $scripts;do
grep -qe 'web\.listen-address' -e '[$]@' -e '[$][*]' "$script"||refuse_unknown_flag "$script"
done
}
look_at_command(){
program=
shell=
scripts=
programs_seen=
flag_is_known=
while IFS= read -r word;do
if [ -z "$program" ];then
word=$(with_folder "$word")
program=$word
fi
if [ -n "$shell" ];then
case $word in
-c|-[a-z]*c)fail "unit $exporter_unit has its command behind a shell of its own (-c)," \
"where no flag reaches it; $(by_hand)"
;;
[!-]*)shell=
esac
fi
case ${word##*/} in
sh|bash|dash|ash|ksh|zsh)shell=$word
esac
case $word in
@/*)fail "unit $exporter_unit has flags in a file ($word)," \
"which ours would come on top of; $(by_hand)"
esac
look_at "$word"
done <<END
$(without_prefix "$unit_command"|words)
END
}
with_folder(){
case $1 in
/*)echo "$1";;
*)command -v "$1"||echo "$1"
esac
}
look_at(){
is_program "$1"||return 0
programs_seen=yes
if [ "$(head -c 2 "$1"|tr -d '\0')" = '#!' ];then
scripts="$scripts $1"
fi
if grep -qs 'web\.listen-address' "$1";then
flag_is_known=yes
fi
}
is_program(){
case $1 in
/*);;
*)return 1
esac
[ -f "$1" ]||return 1
case $1 in
*.py|*.js|*.rb|*.pl|*.sh|*.jar);;
*)[ -x "$1" ]
esac
}
look_at_listeners(){
for process in $(listeners|processes|cut -d' ' -f1);do
look_at "/proc/$process/exe"
done
}
refuse_unknown_flag(){
fail "$1 of $exporter_unit does not know --web.listen-address," \
"so it would not start with it; $(by_hand)"
}
refuse_other_customers(){
other_places=$(ss -Hltnp|processes|while read -r process address name;do
case $unit_command in
*web.listen-address*":${address##*:}"*)continue
esac
if [ "${address##*:}" != "$PORT" ]&&[ "$(unit_of "$process")" = "$exporter_unit" ];then
echo "$address ($name)"
fi
done|sort -u|paste -sd ' ')
[ -z "$other_places" ]||fail "unit $exporter_unit serves $other_places too," \
"and may not know --web.listen-address; $(by_hand)"
}
change(){
places_before=$(listening_on)
answer_before=
ran_before=
restarted=
closed_before=$(closed_units)
if [ "$MANAGE" = no ];then
hand_over
return 0
fi
if runs "$exporter_unit";then
ran_before=yes
fi
keep unit "$exporter_unit"
if [ -z "$closed_before" ]&&[ -z "$(kept places)" ];then
keep places "$places_before"
fi
mkdir -p "${dropin_file%/*}"
text_changed=
wanted=$(dropin_text "$unit_command")
put "$dropin_file" "$wanted"
systemctl daemon-reload
if [ -n "$text_changed$(open_places)" ]||[ -z "$(listeners)" ];then
restart "$exporter_unit"
fi
}
runs(){
case $(shows "$1" ActiveState) in
active|activating|reloading)return 0
esac
false
}
restart(){
if [ -z "$restarted" ]&&[ -n "$places_before" ];then
answer_before=$(metrics_answer "$(url_of "$places_before")" "$SCRAPE_SECONDS")
fi
restarted=yes
start_again "$1"||fail "$1 does not start; see: journalctl -u $1"
}
url_of(){
echo "$1"|sed "1{
    s/^\*:/127.0.0.1:/
    s/^0\.0\.0\.0:/127.0.0.1:/
    s/^\[::\]:/127.0.0.1:/
    s/^\[::ffff:\(.*\)\]/\1/
    s/%[^]:]*//
    s|^|http://|
    s|\$|$METRICS|
    q
  }"
}
hand_over(){
for closed_unit in $exporter_unit;do
if runs "$closed_unit";then
ran_before=yes
fi
dropin_to_go=$(dropin_of "$closed_unit")
remember "$dropin_to_go"
rm -f "$dropin_to_go"
drop_folder_of "$dropin_to_go"
systemctl daemon-reload
[ -z "$ran_before" ]||restart "$closed_unit"
done
}
drop_folder_of(){
rmdir "${1%/*}" 2>/dev/null||:
}
prove(){
if [ "$MANAGE" = no ]&&[ -z "$(listeners)" ];then
return 0
fi
answer=
poll 15 answers||refuse_unproven
}
answers(){
metrics_from "http://127.0.0.1:$PORT$METRICS" "$SCRAPE_SECONDS"||return 1
[ -z "$(open_places)" ]||return 1
unit_that_answers=$(only_unit)
[ -z "$exporter_unit" ]||[ -z "$unit_that_answers" ]||[ "$unit_that_answers" = "$exporter_unit" ]
}
refuse_unproven(){
still_open=$(open_places|paste -sd ' ')
if [ -n "$still_open" ]&&[ "$MANAGE" = no ];then
fail "without our drop-in the exporter listens on $still_open;" \
"bind it to 127.0.0.1:$PORT by its own settings first"
elif [ -n "$still_open" ];then
fail "exporter still listens on $still_open;" \
"see what overrides ours: systemctl cat $exporter_unit"
elif [ -z "$exporter_unit" ];then
fail "the exporter on 127.0.0.1:$PORT $answer; see: curl http://127.0.0.1:$PORT$METRICS"
elif [ "$answer" = metrics ];then
fail "port $PORT is no longer $exporter_unit's alone: $(only_unit);" \
"see: journalctl -u $exporter_unit"
else
fail "exporter did not come back on 127.0.0.1:$PORT, which $answer;" \
"see: journalctl -u $exporter_unit"
fi
}
record(){
if [ "$MANAGE" = no ];then
keep unit ''
rm -f "$RECEIPT/manifest" "$RECEIPT/command" "$RECEIPT/asked" "$RECEIPT/places"
return 0
fi
now_asked=$(systemctl cat "$exporter_unit" 2>/dev/null|listeners_asked)
if [ -e "$RECEIPT/command" ]&&{ [ "$(kept command)" != "$unit_command" ]||[ "$(kept asked)" != "$now_asked" ];};then
rm -f "$RECEIPT/places"
fi
keep asked "$now_asked"
keep command "$unit_command"
manifest "$dropin_file"
}
undo(){
for closed_unit in $exporter_unit;do
drop_folder_of "$(dropin_of "$closed_unit")"
systemctl daemon-reload
if [ -z "$restarted" ];then
continue
elif [ -z "$ran_before" ];then
systemctl stop "$closed_unit"
else
start_again "$closed_unit"
if ! poll 15 as_before;then
lost="$closed_unit does not answer on $(in_one_line "$places_before") as it did;"
lost="$lost see: journalctl -u $closed_unit"
fi
fi
done
}
as_before(){
[ "$(listening_on)" = "$places_before" ]||return 1
[ "$answer_before" != metrics ]||metrics_from "$(url_of "$places_before")" "$SCRAPE_SECONDS"
}
in_one_line(){
echo "$1"|paste -sd ' '
}
restore(){
for closed_unit in $({ kept unit&&closed_units;}|sort -u);do
give_back "$closed_unit"
done
}
give_back(){
places_before=
if [ "$(metrics_answer "http://127.0.0.1:$PORT$METRICS" "$SCRAPE_SECONDS")" = metrics ];then
places_before=$(first_places "$1")
fi
dropin_to_go=$(dropin_of "$1")
away "$dropin_to_go"
drop_folder_of "$dropin_to_go"
systemctl daemon-reload
[ "$(shows "$1" LoadState)" != not-found ]||return 0
runs "$1"||return 0
start_again "$1"||fail "$1 does not start; see: journalctl -u $1"
answer_before=metrics
[ -z "$places_before" ]||poll 15 as_before||fail "$1 has its own command back, and does not answer on $(in_one_line "$places_before")" \
"as before; see: journalctl -u $1"
}
first_places(){
unit_text=$(systemctl cat "$1" 2>/dev/null||:)
if [ "$(printf '%s\n' "$unit_text"|own_command)" = "$(kept command)" ]&&[ "$(printf '%s\n' "$unit_text"|listeners_asked)" = "$(kept asked)" ];then
kept places
fi
}
find_closed(){
exporter_unit=$(closed_units)
}
refuse_not_bound(){
[ -z "$exporter_unit" ]||return 0
still_open=$(open_places|paste -sd ' ')
[ -z "$still_open" ]||fail "port $PORT is open on $still_open, and manage: false changes nothing;" \
"bind it to loopback (a container: docker -p 127.0.0.1:$PORT:$PORT), or take manage out"
[ -d "$RECEIPT/owners" ]||is_on_loopback||fail "nothing listens on 127.0.0.1:$PORT; start the exporter there, or give its port"
}
is_on_loopback(){
listening_on|grep -qE '^(127\.0\.0\.1|\[::ffff:127\.0\.0\.1\]):'
}
